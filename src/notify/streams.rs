//! Posts the events of log streams; names standardwebhooks.
