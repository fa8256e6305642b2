//! What a broken or hostile client sends costs that client only, and it is told what was wrong.

mod common;

use common::{Front, Push, SOON, folder, frame, hello, layout};
use http::uri::PathAndQuery;
use proto::pb;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Code, Request, Status};

/// Sends bytes as they are.
#[derive(Default)]
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;
    fn encoder(&mut self) -> Self {
        Self
    }
    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;
    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put_slice(to, &item);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = ();
    type Error = Status;
    fn decode(&mut self, _from: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        Ok(None)
    }
}

/// Sends raw messages to a method and returns the status it ends with.
async fn send_raw(front: &Front, method: &'static str, messages: Vec<Vec<u8>>) -> Status {
    let mut client = Grpc::new(front.channel().await);
    client.ready().await.expect("connected");
    let path = PathAndQuery::from_static(method);
    let answer = client.streaming(Request::new(tokio_stream::iter(messages)), path, Bytes).await;
    match answer {
        Err(status) => status,
        Ok(answer) => match answer.into_inner().message().await {
            Err(status) => status,
            Ok(_) => Status::ok("no complaint"),
        },
    }
}

/// A healthy collector is served as ever.
async fn check_healthy(front: &Front) {
    let (mut push, _) = Push::hello(front, "healthy", 1).await;
    push.send(layout(1, &["a"])).await;
    push.send(frame(1, 1, 0, &[1.0])).await;
    push.acknowledged(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_the_port_ends_its_own_connection() {
    let dir = folder();
    let front = Front::start(dir.path()).await;
    for garbage in [
        &b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..],
        &[0xff; 4_096],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff",
    ] {
        let mut socket = TcpStream::connect(front.address).await.unwrap();
        socket.write_all(garbage).await.unwrap();
        let mut heard = Vec::new();
        let closed = tokio::time::timeout(SOON, socket.read_to_end(&mut heard)).await;
        // Closed with or without a goodbye, but closed.
        drop(closed.expect("the connection is closed"));
    }
    check_healthy(&front).await;
    assert!(front.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_protobuf_ends_its_own_stream() {
    let dir = folder();
    let front = Front::start(dir.path()).await;
    for method in ["/monitoring.MetricsService/Push", "/monitoring.MetricsService/StreamMetrics"] {
        let end = send_raw(&front, method, vec![vec![0x0a, 0xff, 0xff]]).await;
        assert_eq!(end.code(), Code::InvalidArgument, "{end:?}");
    }
    check_healthy(&front).await;
    assert!(front.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversized_message_is_refused_and_what_came_before_it_is_kept() {
    let dir = folder();
    let front = Front::start(dir.path()).await;
    let (mut push, _) = Push::hello(&front, "db-1", 7).await;
    push.send(layout(1, &["a"])).await;
    push.send(frame(1, 1, 0, &[1.0])).await;
    push.acknowledged(1).await;
    let frames = vec![pb::Frame::default(); 3 << 20];
    push.send(pb::push_request::Message::Frames(pb::Frames { frames })).await;
    let end = push.end().await;
    assert_eq!(end.code(), Code::OutOfRange, "{end:?}");
    assert_eq!(front.graph.sequences(), [1]);
    check_healthy(&front).await;
    assert!(front.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_hello_and_a_frame_without_a_number_end_the_stream_with_the_reason() {
    let dir = folder();
    let front = Front::start(dir.path()).await;
    for (message, reason) in [
        (hello("db-1", 7), "a stream has one hello, its first message"),
        (frame(0, 1, 0, &[1.0]), "a frame has no sequence; they start at 1"),
    ] {
        let (push, _) = Push::hello(&front, "db-1", 7).await;
        push.send(message).await;
        let end = push.end().await;
        assert_eq!((end.code(), end.message()), (Code::InvalidArgument, reason));
    }
    assert!(front.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_vanishes_frees_its_seat() {
    let dir = folder();
    let front = Front::start(dir.path()).await;
    for _ in 0..3 {
        let (push, _) = Push::hello(&front, "db-1", 7).await;
        drop(push);
    }
    let gone = async || front.count("ingest_streams{kind=\"push\"}");
    testkit::eventually(SOON, gone, |open| *open < 0.5).await.unwrap();
    assert!(front.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_says_nothing_is_closed_and_does_not_keep_others_out() {
    let dir = folder();
    let mut settings = ingest::Settings::default();
    settings.streams.hello_within = std::time::Duration::from_millis(1_000);
    settings.streams.connections_max = 1;
    let front = Front::start_with(dir.path(), settings).await;
    let mut silent = TcpStream::connect(front.address).await.unwrap();
    check_healthy(&front).await;
    let mut heard = Vec::new();
    let closed = tokio::time::timeout(SOON, silent.read_to_end(&mut heard)).await;
    assert!(closed.expect("the connection is closed").is_ok_and(|bytes| bytes == 0));
    assert!(front.stop().await);
}
