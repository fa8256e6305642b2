//! Certificate: an authority of a test's own, and a certificate that it signed for the server on loopback. Made by `openssl`.

use std::path::Path;
use std::process::Command;

/// In `dir`: the authority (`ca.pem`), and a certificate of it for 127.0.0.1 and no other name (`cert.pem`) with its key (`key.pem`).
///
/// # Errors
/// When there is no `openssl`, or it fails; with what it says.
pub fn make(dir: &Path) -> Result<(), String> {
    std::fs::write(dir.join("extensions"), "subjectAltName=IP:127.0.0.1").map_err(|error| error.to_string())?;
    let new_key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    for command in [
        format!("req -x509 {new_key} -days 2 -subj /CN=authority -keyout ca.key -out ca.pem"),
        format!("req {new_key} -subj /CN=server -keyout key.pem -out request.pem"),
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out cert.pem"
            .to_owned(),
    ] {
        let made = Command::new("openssl").args(command.split(' ')).current_dir(dir).output();
        let made = made.map_err(|error| format!("openssl: {error}"))?;
        if !made.status.success() {
            return Err(format!("openssl {command}: {}", String::from_utf8_lossy(&made.stderr)));
        }
    }
    Ok(())
}
