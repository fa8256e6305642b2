//! Secrets: read from files, never shown.

use std::fs::File;
use std::io::Read;
use std::path::Path;

const HIDDEN: &str = "***";

/// A token or an URL is short; a file longer than this is a wrong path.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Last words of keys whose values are secrets.
const SECRET_WORDS: [&str; 5] = ["password", "passphrase", "secret", "token", "key"];

/// A secret file's text without the line end that editors put there.
///
/// # Errors
/// What is wrong and what to do, in words that do not show the content.
pub fn read_secret_file(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let file = File::open(path)
        .map_err(|error| format!("cannot open secret file {shown}: {error}; check the path and its permissions"))?;
    let mut text = String::new();
    let mut limited = file.take(SECRET_BYTES_MAX + 1);
    limited.read_to_string(&mut text).map_err(|error| format!("cannot read secret file {shown}: {error}"))?;
    if SECRET_BYTES_MAX < text.len() as u64 {
        return Err(format!("secret file {shown} is longer than 64 KiB; is it the right file?"));
    }
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

/// A value as it may be printed: secrets hidden, passwords taken out of URLs.
#[must_use]
pub fn mask(key: &str, text: &str) -> String {
    let name = key.rsplit('.').next().unwrap_or(key);
    let last_word = name.rsplit('_').next().unwrap_or(name).to_ascii_lowercase();
    let last_word = last_word.strip_suffix('s').unwrap_or(&last_word);
    if SECRET_WORDS.contains(&last_word) && !text.is_empty() { HIDDEN.to_owned() } else { mask_url(text) }
}

/// Hides the password in `scheme://user:password@host` and the values of secret query parameters.
#[must_use]
pub fn mask_url(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(authority_end);
    // The last @ ends the credentials: a password may hold one that nobody escaped.
    let authority = match authority.rsplit_once('@') {
        Some((credentials, host)) => match credentials.split_once(':') {
            Some((user, _password)) => format!("{user}:{HIDDEN}@{host}"),
            None => authority.to_owned(),
        },
        None => authority.to_owned(),
    };
    format!("{scheme}://{authority}{}", mask_query(tail))
}

fn mask_query(tail: &str) -> String {
    let Some((path, query)) = tail.split_once('?') else {
        return tail.to_owned();
    };
    let hide = |pair: &str| match pair.split_once('=') {
        Some((name, _)) if SECRET_WORDS.iter().any(|word| name.to_ascii_lowercase().ends_with(word)) => {
            format!("{name}={HIDDEN}")
        }
        Some(_) | None => pair.to_owned(),
    };
    let pairs: Vec<String> = query.split('&').map(hide).collect();
    format!("{path}?{}", pairs.join("&"))
}
