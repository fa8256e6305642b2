//! A hub on a real socket, and a client of its WebSocket.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use runtime::drain::Drain;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::{Hub, LONG};

pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) drain: Drain,
    pub(crate) task: JoinHandle<()>,
}

pub(crate) struct Client {
    pub(crate) stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Hub {
    pub(crate) async fn serve(&self) -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let drain = Drain::new();
        let task = tokio::spawn(web::serve(listener, self.state.clone(), drain.token()));
        Served { address, drain, task }
    }
}

impl Served {
    /// Connected, with the `hello` already read.
    pub(crate) async fn client(&self) -> Client {
        self.client_and_hello().await.0
    }

    pub(crate) async fn client_and_hello(&self) -> (Client, Value) {
        let mut client = self.client_at("/ws").await;
        let hello = client.next().await;
        assert_eq!((&hello["type"], &hello["protocol"], &hello["seq"]), (&"hello".into(), &1.into(), &0.into()));
        (client, hello)
    }

    /// Connected, with nothing read.
    pub(crate) async fn client_at(&self, path: &str) -> Client {
        let (stream, _) = connect_async(format!("ws://{}{path}", self.address)).await.unwrap();
        Client { stream }
    }
}

impl Client {
    pub(crate) async fn say(&mut self, text: &str) {
        self.stream.send(Message::text(text)).await.unwrap();
    }

    /// The next JSON message; pings are answered on the way.
    pub(crate) async fn next(&mut self) -> Value {
        loop {
            match self.message().await {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("expected a text message, got {other:?}"),
            }
        }
    }

    pub(crate) async fn closed(&mut self) -> CloseFrame {
        loop {
            if let Message::Close(frame) = self.message().await {
                return frame.expect("a close frame says why");
            }
        }
    }

    async fn message(&mut self) -> Message {
        let next = timeout(LONG, self.stream.next()).await.expect("the hub speaks in time");
        next.expect("the connection is open").unwrap()
    }
}
