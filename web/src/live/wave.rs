//! Wave: what clients that have seen the same are sent next, composed once and shared by all of them.
//!
//! A thousand clients of the whole fleet wake together and ask for the same; only the number of the message is each one's own. So its
//! text is shared bytes behind that number, and a client's write is one system call without a copy.

use std::ops::AddAssign;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use model::Timestamp;

use super::board::{Board, Scope, Update};
use super::message::{self, Detail};

/// Clients wake at one version after having seen one of a few.
const KEPT_MAX: usize = 16;
/// First byte of a whole text frame (RFC 6455, section 5.2).
const TEXT: u8 = 0x81;
/// Largest length that the second byte tells.
const SHORT_MAX: u8 = 125;

/// How a client is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Form {
    Subscribed(Detail),
    Seeds,
}

/// All that a client has not seen, as messages.
#[derive(Debug)]
pub(crate) struct Wave {
    /// The client's next cursor.
    pub(crate) version: u64,
    parts: Vec<Part>,
}

/// What one client gets of it is a head of its own, perhaps empty, and a body that all share.
#[derive(Debug)]
pub(crate) enum Part {
    /// A message up to its number, and behind it.
    Numbered { before: &'static str, after: Bytes },
    /// Whole frames without numbers: bytes of the wire, how many they are, and bytes of text in them.
    Framed { wire: Bytes, messages: u64, text: u64 },
}

/// What a part of a wave counts as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) messages: u64,
    /// Bytes.
    pub(crate) text: u64,
}

impl AddAssign for Counted {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.text += other.text;
    }
}

/// The newest waves of clients that look at the whole fleet.
#[derive(Debug, Default)]
pub(crate) struct Waves {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    version: u64,
    waves: Vec<(u64, Form, Arc<Wave>)>,
}

impl Waves {
    /// What follows `cursor` for a client of the whole fleet. Who comes second waits for the first one's work and shares it.
    pub(crate) fn after(&self, cursor: u64, form: &Form, board: &Board, now: Timestamp) -> Arc<Wave> {
        // A panic aborts the process, so a poisoned lock is only ever met in tests.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let version = board.version();
        if kept.version != version {
            *kept = Kept { version, waves: Vec::new() };
        }
        let found = kept.waves.iter().find(|(since, of, _)| *since == cursor && of == form);
        if let Some((_, _, wave)) = found {
            return Arc::clone(wave);
        }
        let wave = Arc::new(Wave::compose(&board.since(cursor, &Scope::All), form, now));
        // The board may have gone on meanwhile: then it is newer than its place tells, and still what follows the cursor.
        if kept.waves.len() < KEPT_MAX {
            kept.waves.push((cursor, form.clone(), Arc::clone(&wave)));
        }
        wave
    }
}

impl Wave {
    pub(crate) fn compose(update: &Update, form: &Form, now: Timestamp) -> Self {
        let parts = match form {
            Form::Subscribed(_) if update.is_empty() => Vec::new(),
            Form::Subscribed(detail) => {
                let numbered = |(before, after): (_, String)| Part::Numbered { before, after: after.into() };
                message::compose(update, detail, now).map(numbered).collect()
            }
            Form::Seeds => framed(update).into_iter().collect(),
        };
        Self { version: update.version, parts }
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }
}

impl Part {
    /// Adds what stands before the body for a client whose next message has the number `seq`, which is raised.
    pub(crate) fn head(&self, seq: &mut u64, head: &mut Vec<u8>) -> Counted {
        match self {
            Self::Numbered { before, after } => {
                let number = seq.to_string();
                *seq += 1;
                let text = before.len() + number.len() + after.len();
                frame_head(head, text);
                head.extend_from_slice(before.as_bytes());
                head.extend_from_slice(number.as_bytes());
                Counted { messages: 1, text: text as u64 }
            }
            Self::Framed { messages, text, .. } => Counted { messages: *messages, text: *text },
        }
    }

    pub(crate) const fn body(&self) -> &Bytes {
        match self {
            Self::Numbered { after, .. } => after,
            Self::Framed { wire, .. } => wire,
        }
    }
}

/// One message a machine, in the older shape.
fn framed(update: &Update) -> Option<Part> {
    let (mut wire, mut text) = (Vec::new(), 0);
    for piece in &update.machines {
        let message = piece.seeds().as_bytes();
        frame_head(&mut wire, message.len());
        wire.extend_from_slice(message);
        text += message.len() as u64;
    }
    let messages = update.machines.len() as u64;
    (messages != 0).then(|| Part::Framed { wire: wire.into(), messages, text })
}

/// Adds what stands before a text of this length, unmasked as a server sends it.
pub(crate) fn frame_head(head: &mut Vec<u8>, length: usize) {
    head.push(TEXT);
    // As the second byte, in two bytes behind it, or in eight.
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..=SHORT_MAX), _) => head.push(short),
        (_, Ok(medium)) => {
            head.push(126);
            head.extend(medium.to_be_bytes());
        }
        _ => {
            head.push(127);
            head.extend((length as u64).to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use model::query::{Changes, MachineView};
    use model::{MachineId, Status};
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket};

    use super::*;

    fn machine(id: &str) -> Arc<MachineView> {
        Arc::new(MachineView {
            machine: MachineId::parse(id).unwrap(),
            status: Status::Up,
            last_seen: Timestamp::EPOCH,
            info: None,
            roster: None,
            values: Box::default(),
            times: Box::default(),
            processes: None,
            alerts: [0; 3],
        })
    }

    /// What a client's library reads of it.
    fn read(wire: Vec<u8>, count: usize) -> Vec<String> {
        let mut socket = WebSocket::from_raw_socket(Cursor::new(wire), Role::Client, None);
        let text = |message: Message| message.into_text().unwrap().to_string();
        (0..count).map(|_| text(socket.read().unwrap())).collect()
    }

    /// A wave as a client gets it.
    fn wire(wave: &Wave, seq: &mut u64) -> Vec<u8> {
        let mut wire = Vec::new();
        for part in wave.parts() {
            part.head(seq, &mut wire);
            wire.extend_from_slice(part.body());
        }
        wire
    }

    #[test]
    fn frames_of_every_size_are_read_as_they_were_written() {
        for length in [0, 1, 125, 126, 65_535, 65_536, 100_000] {
            let (mut wire, text) = (Vec::new(), "x".repeat(length));
            frame_head(&mut wire, length);
            wire.extend_from_slice(text.as_bytes());
            assert_eq!(read(wire, 1), [text]);
        }
    }

    #[test]
    fn clients_that_have_seen_the_same_share_one_text_with_numbers_of_their_own() {
        let (board, waves, form) = (Board::new(), Waves::default(), Form::Subscribed(Detail::Summary));
        board.apply(Changes { machines: vec![machine("a"), machine("b")], ..Changes::default() });
        let first = waves.after(0, &form, &board, Timestamp::EPOCH);
        assert!(Arc::ptr_eq(&first, &waves.after(0, &form, &board, Timestamp::EPOCH)));
        let (mut ours, mut theirs) = (1, 70_000);
        let texts = [read(wire(&first, &mut ours), 1), read(wire(&first, &mut theirs), 1)].concat();
        assert_eq!((ours, theirs), (2, 70_001));
        assert!(texts[0].starts_with(r#"{"type":"snapshot","seq":1,"time":0,"#), "{}", texts[0]);
        assert_eq!(texts[0].replace(r#""seq":1,"#, r#""seq":70000,"#), texts[1]);

        board.apply(Changes { machines: vec![machine("b")], ..Changes::default() });
        let (again, delta) = (
            waves.after(0, &form, &board, Timestamp::EPOCH),
            waves.after(first.version, &form, &board, Timestamp::EPOCH),
        );
        assert_eq!((again.version, delta.version), (2, 2));
        let text = read(wire(&delta, &mut ours), 1).remove(0);
        assert!(text.starts_with(r#"{"type":"delta","seq":2,"#) && !text.contains(r#""id":"a""#), "{text}");
        assert!(waves.after(2, &form, &board, Timestamp::EPOCH).parts().is_empty());
    }

    #[test]
    fn the_older_shape_is_a_message_a_machine_in_one_piece() {
        let board = Board::new();
        board.apply(Changes { machines: vec![machine("a"), machine("b")], ..Changes::default() });
        let wave = Waves::default().after(0, &Form::Seeds, &board, Timestamp::EPOCH);
        let (mut seq, mut head) = (5, Vec::new());
        let counted = wave.parts()[0].head(&mut seq, &mut head);
        assert_eq!((wave.parts().len(), head.len(), counted.messages, seq), (1, 0, 2, 5));
        let texts = read(wire(&wave, &mut seq), 2);
        assert!(texts[0].contains(r#""machine_id":"a""#) && texts[1].contains(r#""machine_id":"b""#), "{texts:?}");
    }
}
