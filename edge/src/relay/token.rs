//! Token: what a publisher must know. Kept as a hash only, and compared without telling by time how much of it was right.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::protocol::TOKEN_CHARS_MIN;

/// The hash of a token.
#[derive(Clone)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// # Errors
    /// What makes the token unfit, without showing it.
    pub fn of(token: &str) -> Result<Self, String> {
        check_token(token)?;
        Ok(Self(Sha256::digest(token.as_bytes()).into()))
    }

    pub(super) fn is_of(&self, token: &str) -> bool {
        let given: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        self.0.ct_eq(&given).into()
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("TokenHash(***)")
    }
}

/// # Errors
/// What makes the token unfit, without showing it.
pub(crate) fn check_token(token: &str) -> Result<(), String> {
    let length = token.chars().count();
    if length < TOKEN_CHARS_MIN {
        return Err(format!(
            "has {length} characters; use at least {TOKEN_CHARS_MIN} that nobody can guess, such as those of `openssl rand -hex 32`"
        ));
    }
    // It travels in a header.
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(String::from("has spaces or characters outside of ASCII; use letters, digits and punctuation"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_hash_and_never_shown() {
        let token = "correct-horse-battery";
        let hash = TokenHash::of(token).unwrap();
        assert!(hash.is_of(token) && !hash.is_of("correct-horse-batterz") && !hash.is_of(""));
        assert!(!format!("{hash:?}").contains("horse"));
    }

    #[test]
    fn a_token_that_can_be_guessed_or_not_be_sent_is_refused_without_being_shown() {
        for bad in ["", "short", "with a space in it 123", "umlaut-ä-umlaut-ä-umlaut"] {
            let problem = TokenHash::of(bad).unwrap_err();
            assert!(bad.is_empty() || !problem.contains(bad), "{problem}");
        }
    }
}
