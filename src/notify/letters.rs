//! The words of letters.
