//! Membership without a network.
