"""Settings of the catcher process."""

from schemas.settings import Settings


class CatcherSettings(Settings, frozen=True, kw_only=True):
    """`sms_account`: the account id (`AC…`) whose messages are accepted; its token is in `secrets/sms.token`.

    `sms_url`: by what others reach it, where that is another name than `localhost`.
    """

    sms_url: str = ""
    sms_account: str = "AC5105ce00000000000000000000000000"
