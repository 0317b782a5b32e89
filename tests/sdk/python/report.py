"""Calls one after the other, and which of them pass."""


class Report:
    def __init__(self, sdk):
        self.sdk, self.passed, self.failed = sdk, 0, 0

    def call(self, name):
        """A decorator: makes the call at once; what it gives takes the place of the function.

        Calls that need what this one was to make go on without."""

        def run(work):
            try:
                result = work()
            except Exception as error:
                self.failed += 1
                words = f"{type(error).__name__}: {error}".replace("\n", " ")
                print(f"{self.sdk}  FAILED  {name}: {words}", flush=True)
                return None
            self.passed += 1
            print(f"{self.sdk}  ok      {name}", flush=True)
            return result

        return run

    def absent(self, name):
        """For what this SDK has no call for."""
        print(f"{self.sdk}  absent  {name}: this SDK has no such call", flush=True)

    def end(self):
        """The sum, as the program's exit status."""
        print(f"{self.sdk}  {self.passed} calls pass, {self.failed} fail")
        return 1 if self.failed else 0
