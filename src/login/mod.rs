//! Signing in with a password, and setting one.
