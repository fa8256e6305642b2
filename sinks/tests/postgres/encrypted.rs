//! Encryption: asked for by the address, made only with a server that has a certificate for its name from an authority that is known.

use sinks::sink::Sink;
use testkit::postgres::Database;
use testkit::postgres_server::PrivateServer;

use crate::fixtures::{at, rejected};
use crate::store::Store;
use model::Output;

#[tokio::test]
async fn an_encrypted_connection_is_made_only_to_a_server_whose_certificate_is_known() {
    let server = PrivateServer::encrypted().unwrap();
    let plain = Store::on(Database::on(&server.url()).await.unwrap()).await;
    let authority = server.authority();
    let at_mode = |mode: &str, rest: &str| format!("{}&sslmode={mode}{rest}", plain.url());
    let known = format!("&sslrootcert={}", authority.display());
    let is_encrypted = "SELECT string_agg(DISTINCT ssl::text, ',') FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                        WHERE application_name = current_schema() AND pid <> pg_backend_pid()";
    assert_eq!(plain.text(is_encrypted).await, "false");
    for (t, mode) in [(1, "require"), (2, "verify-ca"), (3, "verify-full")] {
        let mut sink = plain.at(&at_mode(mode, &known));
        sink.connect().await.unwrap_or_else(|error| panic!("{mode}: {error}"));
        assert_eq!(plain.text(is_encrypted).await, "false,true", "{mode}");
        let outputs = vec![Output::Rejected(rejected("a", at(1)))];
        let batch = sinks::sink::WriteBatch { groups: vec![sinks::sink::Group { t, outputs }], upto: t };
        assert_eq!(sink.write(batch.into()).await.unwrap().rows, t, "{mode}");
    }
    // Nobody has signed it whom this machine knows.
    let stranger = plain.at(&at_mode("verify-full", "")).connect().await.unwrap_err();
    let said = runtime::telemetry::error_chain(&stranger).to_lowercase();
    assert!(said.contains("certificate") || said.contains("unknownissuer"), "{said}");
    // The right authority, but for another name.
    let url = at_mode("verify-full", &known).replacen("127.0.0.1", "localhost", 1);
    let misnamed = runtime::telemetry::error_chain(&plain.at(&url).connect().await.unwrap_err()).to_lowercase();
    assert!(misnamed.contains("certificate") && misnamed.contains("name"), "{misnamed}");
    let missing = plain.at(&at_mode("require", "&sslrootcert=/nowhere/ca.pem")).connect().await.unwrap_err();
    let missing = runtime::telemetry::error_chain(&missing);
    assert!(missing.contains("sslrootcert /nowhere/ca.pem"), "{missing}");
}
