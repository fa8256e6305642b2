//! The journal seen from outside, as its three users rely on it: one test program, a file per promise.

mod common;
mod crash;
mod damage;
mod disk_full;
mod order;
mod retention;
