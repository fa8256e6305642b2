//! Bytes: how serde is to take what is packed already: as one piece, not number by number.

use std::marker::PhantomData;

use serde::de::{Deserializer, Error, Visitor};
use serde::ser::Serializer;

pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>, T: for<'b> From<&'b [u8]>>(
    deserializer: D,
) -> Result<T, D::Error> {
    struct Bytes<T>(PhantomData<T>);
    impl<T: for<'b> From<&'b [u8]>> Visitor<'_> for Bytes<T> {
        type Value = T;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("bytes")
        }
        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<T, E> {
            Ok(T::from(bytes))
        }
    }
    deserializer.deserialize_bytes(Bytes(PhantomData))
}
