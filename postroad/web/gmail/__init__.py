"""One module per collection of the Gmail API; here only what joins the method table to them."""

from postroad.web.gmail import attachments, messages, profile, send_as
from postroad.web.gmail.call import Answer
from postroad.web.methods import ATTACHMENT, GET, GET_SEND_AS, LIST, LIST_SEND_AS, PROFILE, SEND, Method

ANSWERS: dict[Method, Answer] = {
    SEND: messages.send,
    LIST: messages.listing,
    GET: messages.get,
    ATTACHMENT: attachments.get,
    PROFILE: profile.get,
    LIST_SEND_AS: send_as.listing,
    GET_SEND_AS: send_as.get,
}
