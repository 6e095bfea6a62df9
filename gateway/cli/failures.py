"""How a command ends when it cannot do what it was asked: one sentence and an exit code."""

REFUSED = 1
USAGE = 2
NOT_FOUND = 4

# What to do, by the `reason` of the API's answer. The message itself says what is the matter.
REMEDIES = {
    "busy": "give its requests time with --wait 30s, or cut them with --force",
    "in-use": "delete them first, or delete it all the same with --force",
    "unauthenticated": "put the shared key into ROUSE_ADMIN_KEY",
    "foreign-host": "use the address that the API listens on",
    "no-actor": "see `rouse actor list`; another namespace is -n NAMESPACE",
    "no-template": "see `rouse template list`; `rouse template apply -f FILE` makes one",
    "no-worker": "see `rouse worker list`",
    "exists": "choose another name, or delete it with `rouse actor delete`",
    "failed-start": "see `rouse actor logs`",
    "no-capacity": "suspend an actor, or start another worker",
    "waking": "wait longer with --wait 2m",
    "unavailable": "try again; `rouse doctor` looks at this machine",
}


class Failure(Exception):
    """Ends the command: the message goes to stderr, the code to the shell."""

    def __init__(self, message: str, *, code: int = REFUSED) -> None:
        super().__init__(message)
        self.code = code


def from_answer(status: int, error: dict[str, object]) -> Failure:
    """The API's `error` as a sentence with what to do and the request's id."""
    reason = str(error.get("reason", ""))
    message = str(error.get("message", f"status {status}"))
    remedy = REMEDIES.get(reason)
    request_id = error.get("request_id")
    text = message + (f"; {remedy}" if remedy else "")
    text += f" (request {request_id})" if request_id else ""
    return Failure(text, code=NOT_FOUND if status == 404 else REFUSED)
