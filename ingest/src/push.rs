//! Push: one Push stream from its opening to its end.
//!
//! Hello, the machine's seat, then `session` reads messages while `answers` tells what became of them. Whatever ends the reading
//! half, its reason is the last thing that the stream hears, after the answers to what was handed in.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use proto::{decode, pb};
use tokio::sync::mpsc;
use tonic::{Code, Status};
use tracing::{debug, info, warn};

use crate::answers::{Answers, Note};
use crate::context::{Context, broken, draining};
use crate::intake::Tickets;
use crate::machines::Machine;
use crate::meters::OpenStream;
use crate::peers::Yielded;
use crate::session::Session;

/// An earlier stream leaves as soon as it is told, unless the runtime is overloaded.
pub(crate) const SEAT_WITHIN: Duration = Duration::from_secs(10);

/// Opens a Push stream and returns its answers. The reading half is a task that ends with the stream, the client or the hub.
pub(crate) fn open<S>(context: Arc<Context>, requests: S) -> impl Stream<Item = Result<pb::PushResponse, Status>>
where
    S: Stream<Item = Result<pb::PushRequest, Status>> + Send + Unpin + 'static,
{
    let (notes, waiting) = mpsc::channel(context.streams.credit_frames_max.max(1) as usize);
    let tickets = Tickets::new();
    let answers = Answers {
        notes: waiting,
        durable: tickets.watch(),
        intake: context.intake.clone(),
        cut: context.cut.clone(),
        credit_frames_max: context.streams.credit_frames_max,
    };
    tokio::spawn(async move {
        let _open = OpenStream::count(&context.meters.push_streams);
        if let Err(status) = read(context, requests, tickets, &notes).await {
            debug!(code = ?status.code(), reason = status.message(), "push stream ends");
            let end = Note { end: Some(status), ..Note::default() };
            // An error means that the client has gone already.
            drop(notes.send(end).await);
        }
    });
    answers.into_stream()
}

/// Reads a stream to its end: `Ok` when the client closed its half.
async fn read<S>(
    context: Arc<Context>,
    mut requests: S,
    tickets: Tickets,
    notes: &mpsc::Sender<Note>,
) -> Result<(), Status>
where
    S: Stream<Item = Result<pb::PushRequest, Status>> + Send + Unpin,
{
    let hello = first_message(&context, &mut requests).await?;
    let machine = context.machines.enter(&hello.info.machine).inspect_err(|full| {
        context.meters.refused_streams.too_many_machines.increment();
        warn!(machine = %hello.info.machine, %full, "collector is refused");
    })?;
    let mut seat = machine.sit(SEAT_WITHIN).await?;
    tokio::select! {
        biased;
        // Two processes that both have its hello would wait for each other.
        () = seat.superseded() => return Err(superseded(&context)),
        claimed = claim_elsewhere(&context, &machine) => claimed?,
    }
    info!(machine = %machine.id, session = hello.session.0, "collector connected");
    let mut session = Session::new(context, machine, hello.session, tickets, notes);
    session.introduce(hello.info).await?;
    let end = session.run(&mut requests, &mut seat).await;
    info!(machine = %session.machine.id, "collector disconnected");
    // Who takes over takes over the refusals, too, and must not wait for them.
    if !end.as_ref().is_err_and(|status| status.code() == Code::Aborted) {
        session.leave().await;
    }
    end
}

/// What a stream hears when another one of its machine has come.
pub(crate) fn superseded(context: &Context) -> Status {
    context.meters.superseded.increment();
    Status::aborted("a newer stream of this machine has taken over; is its id used twice?")
}

/// Makes the machine's streams at other processes end, and takes over where they were.
async fn claim_elsewhere(context: &Context, machine: &Machine) -> Result<(), Status> {
    let Some(peers) = &context.peers else { return Ok(()) };
    let yielded = peers.claim(&machine.id).await.map_err(|refused| Status::unavailable(refused.to_string()))?;
    for Yielded { marks, newest_t } in yielded {
        context.lamport.raise(newest_t);
        machine.with_door(|door| marks.iter().for_each(|(session, sequence)| door.advance(*session, *sequence)));
    }
    Ok(())
}

async fn first_message<S>(context: &Context, requests: &mut S) -> Result<decode::Hello, Status>
where
    S: Stream<Item = Result<pb::PushRequest, Status>> + Unpin,
{
    let within = context.streams.hello_within;
    let message = tokio::select! {
        () = context.drain.draining() => return Err(draining()),
        message = tokio::time::timeout(within, requests.next()) => message,
    };
    let refused = &context.meters.refused_streams;
    let Ok(message) = message else {
        refused.no_hello.increment();
        return Err(Status::deadline_exceeded(format!("no hello came within {} s", within.as_secs())));
    };
    let message = message.transpose().map_err(|status| broken(status, context))?;
    let hello = match message.and_then(|request| request.message) {
        Some(pb::push_request::Message::Hello(hello)) => {
            decode::hello(hello, context.now()).map_err(|error| error.to_string())
        }
        _ => Err("the first message of a Push stream is a hello".to_owned()),
    };
    hello.map_err(|reason| {
        refused.bad_hello.increment();
        Status::invalid_argument(reason)
    })
}
