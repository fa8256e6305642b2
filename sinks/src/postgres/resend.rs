//! Resend: a row that the server refused, written again as it was, in one transaction with the note that it was.
//!
//! What a dead letter keeps of such a row is either the bytes that COPY takes, or outputs in the spill's own code.

use model::{LogicalTime, Output};
use runtime::metrics::Registry;

use super::PostgresHistory;
use super::error::{Failure, is_refusal, message};
use super::frames::Frames;
use super::ids::Ids;
use super::session::Session;
use super::store::{Meters, Mode, Store};
use super::upkeep;
use super::value::Time;
use crate::sink::Group;
use crate::spill_codec;

/// A larger row is not kept: no row of ours comes near it but a fleet minute of thousands of metrics.
const BYTES_MAX: usize = 64 << 10;

const COPY: u8 = b'C';
const OUTPUTS: u8 = b'O';

/// Why the server's row was not written again.
#[derive(Debug, thiserror::Error)]
pub enum RowRefused {
    /// Not there, without its row, or written already.
    #[error("the server has no such row to write again")]
    Gone,
    /// The server's own words.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Query(#[from] model::query::QueryError),
}

/// A row of `raw_frames` as a letter keeps it.
pub(super) fn keep_frame(frames: &Frames<'_>, index: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![COPY];
    frames.copy(index..index + 1).for_each(|piece| bytes.extend_from_slice(&piece));
    (bytes.len() <= BYTES_MAX).then_some(bytes)
}

/// Any other output as a letter keeps it.
pub(super) fn keep_output(t: LogicalTime, output: Output) -> Option<Vec<u8>> {
    let mut bytes = vec![OUTPUTS];
    bytes.extend(spill_codec::encode(&[Group { t, outputs: vec![output] }]));
    (bytes.len() <= BYTES_MAX).then_some(bytes)
}

impl PostgresHistory {
    /// Writes the row of a letter again; how many samples it had.
    ///
    /// # Errors
    /// [`RowRefused`]; nothing changed then.
    pub async fn resend(&self, id: &str) -> Result<usize, RowRefused> {
        let done = self.shared.pool.run(async {
            let loan = self.shared.pool.lend().await?;
            let session = loan.session();
            session.batch("BEGIN").await?;
            let done = match self.resend_within(session, id).await {
                Err(Failure::Sql(error)) if is_refusal(&error) => Err(RowRefused::Refused(message(&error))),
                other => other?,
            };
            session.batch(if done.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
            loan.give_back();
            Ok(done)
        });
        done.await?
    }

    async fn resend_within(&self, session: &Session, id: &str) -> Result<Result<usize, RowRefused>, Failure> {
        let now = upkeep::now(&self.shared.clock);
        let rows = session.query(include_str!("../../../sql/queries/take_dead_letter.sql"), &[&id]).await?;
        let Some(row) = rows.first() else { return Ok(Err(RowRefused::Gone)) };
        let (kept, count): (&[u8], i64) = (row.get(0), row.get(1));
        let unreadable = |what: &str| Failure::Content(format!("what dead letter {id} keeps is unreadable: {what}"));
        match kept.split_first() {
            Some((&COPY, bytes)) => {
                let rows = std::iter::once(bytes::Bytes::copy_from_slice(bytes));
                session.copy_in(include_str!("../../../sql/queries/copy_frames.sql"), rows).await?;
            }
            Some((&OUTPUTS, bytes)) => {
                let batch = spill_codec::decode(bytes, 0).map_err(|error| unreadable(&error.to_string()))?;
                let (mut ids, meters) = (Ids::default(), Meters::new(&Registry::new()));
                let mut store = Store { session, ids: &mut ids, meters: &meters, mode: Mode::Again, now };
                store.write(&batch.groups.iter().collect::<Vec<_>>()).await?;
            }
            _ => return Err(unreadable("its kind is unknown: a newer program wrote it")),
        }
        session.execute(include_str!("../../../sql/queries/set_resent.sql"), &[&id, &Time(now)]).await?;
        Ok(Ok(usize::try_from(count).unwrap_or(0)))
    }
}
