"""One module per collection of the Gmail API; here only what joins the method table to them."""

from postroad.web.gmail import messages
from postroad.web.gmail.call import Answer
from postroad.web.methods import GET, LIST, SEND, Method

ANSWERS: dict[Method, Answer] = {SEND: messages.send, LIST: messages.listing, GET: messages.get}
