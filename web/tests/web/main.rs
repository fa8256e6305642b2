//! The web from outside: requests in, answers out, over fakes of what the hub hands it.

#[cfg(test)]
mod audit;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod common;
#[cfg(test)]
mod dead_letters;
#[cfg(test)]
mod fleet;
#[cfg(test)]
mod fragments;
#[cfg(test)]
mod history;
#[cfg(test)]
mod live;
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod preview;
#[cfg(test)]
mod rest;
#[cfg(test)]
mod resume;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod service;
#[cfg(test)]
mod silences;
