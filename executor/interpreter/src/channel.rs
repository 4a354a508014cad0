//! The control socket: one datagram per message; the descriptor of a region is attached to the first message that uses
//! it.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use prost::Message;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendFlags, recvmsg, sendmsg,
};
use udfleet_proto::v1::{Command, Reply};

/// Control messages are tens of bytes; everything larger lies in shared memory.
const MAX_MESSAGE: usize = 4096;

/// Where the executor puts the control socket.
pub const CONTROL: RawFd = 3;
/// Where it puts the socket for requests about keyed state, which Python code uses by itself.
pub const STATE: RawFd = 4;

/// The interpreter's end of the control socket.
pub struct Channel {
    socket: OwnedFd,
}

impl Channel {
    /// Takes the socket that the executor put on descriptor 3.
    pub fn inherited() -> Self {
        // SAFETY: the executor starts this process with the socket on descriptor 3, and nothing else here owns it.
        let socket = unsafe { OwnedFd::from_raw_fd(CONTROL) };
        // Children of user code must not hold it, or the executor would not see this process end.
        let _ = rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC);
        // SAFETY: it is open for as long as this process lives.
        let state = unsafe { BorrowedFd::borrow_raw(STATE) };
        let _ = rustix::io::fcntl_setfd(state, rustix::io::FdFlags::CLOEXEC);
        Self { socket }
    }

    /// Waits for a command; `None` when the executor is gone.
    pub fn receive(&self) -> io::Result<Option<(Command, Option<File>)>> {
        let mut buffer = [0u8; MAX_MESSAGE];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let mut slices = [IoSliceMut::new(&mut buffer)];
            match recvmsg(self.socket.as_fd(), &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(rustix::io::Errno::INTR) => {}
                other => break other?,
            }
        };
        if received.bytes == 0 {
            return Ok(None);
        }
        let mut file = None;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                file = descriptors.map(File::from).next();
            }
        }
        let bytes = buffer.get(..received.bytes).unwrap_or_default();
        Ok(Some((Command::decode(bytes).map_err(io::Error::other)?, file)))
    }

    /// Sends a reply.
    pub fn send(&self, reply: &Reply) -> io::Result<()> {
        let bytes = reply.encode_to_vec();
        loop {
            match sendmsg(
                &self.socket,
                &[IoSlice::new(&bytes)],
                &mut SendAncillaryBuffer::default(),
                SendFlags::NOSIGNAL,
            ) {
                Err(rustix::io::Errno::INTR) => {}
                other => return other.map(|_| ()).map_err(io::Error::from),
            }
        }
    }
}
