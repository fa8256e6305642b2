//! PostgreSQL for tests: a namespace of its own on the run's server, so that tests do not meet.

use std::net::SocketAddr;

use tokio_postgres::{Client, NoTls};

use crate::servers::{MissingServer, postgres_url, timescale_url};

/// An empty namespace. It goes with the server, which goes with the run.
#[derive(Debug, Clone)]
pub struct Database {
    url: String,
}

/// No namespace.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error(transparent)]
    Missing(#[from] MissingServer),
    #[error("make a namespace for a test")]
    Sql(#[from] tokio_postgres::Error),
}

impl Database {
    /// On the plain PostgreSQL that `scripts/with-servers.sh` starts.
    ///
    /// # Errors
    /// Without such a server.
    pub async fn of_the_run() -> Result<Self, DatabaseError> {
        Self::on(&postgres_url()?).await
    }

    /// On the server with TimescaleDB that `TIMESCALE_TEST_URL` names; none when it names none.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn on_timescale() -> Result<Option<Self>, DatabaseError> {
        match timescale_url() {
            Some(url) => Ok(Some(Self::on(&url).await?)),
            None => Ok(None),
        }
    }

    /// On a server by its address.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn on(server: &str) -> Result<Self, DatabaseError> {
        let client = connect(server).await?;
        // The server draws the name: processes of one run share it, and their ids may come again.
        let draw = "SELECT 'test_' || replace(gen_random_uuid()::text, '-', '')";
        let name: String = client.query_one(draw, &[]).await?.get(0);
        client.batch_execute(&format!("CREATE SCHEMA {name}")).await?;
        // Extensions put their functions into `public`.
        let options = format!("options=-c%20search_path%3D{name}%2Cpublic");
        Ok(Self { url: format!("{server}?application_name={name}&{options}") })
    }

    /// With it a client's unqualified names are those of the namespace, whose name is the application's too.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where its server listens. Panics where that is no address on loopback, such as a name: tests talk to nothing else.
    pub fn server(&self) -> SocketAddr {
        let authority = self.url.split(['@', '/', '?']).nth(3).unwrap_or_default();
        authority.parse().unwrap_or_else(|error| panic!("{authority}: {error}"))
    }

    /// The same through another address.
    #[must_use]
    pub fn through(&self, address: SocketAddr) -> Self {
        Self { url: self.url.replacen(&self.server().to_string(), &address.to_string(), 1) }
    }

    /// A connection for a test's own questions.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn client(&self) -> Result<Client, DatabaseError> {
        Ok(connect(&self.url).await?)
    }
}

async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    // Ends with the client.
    tokio::spawn(async move { drop(connection.await) });
    Ok(client)
}
