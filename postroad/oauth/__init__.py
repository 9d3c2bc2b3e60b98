"""Who may send as whom (the roles of RFC 6749). No HTTP in here."""
