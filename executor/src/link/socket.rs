//! The executor's end of an interpreter's control socket.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use prost::Message;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use tokio::io::unix::AsyncFd;
use udfleet_proto::v1::{Command, Reply};

/// Control messages are tens of bytes; everything larger lies in shared memory.
const MAX_MESSAGE: usize = 4096;

/// Datagrams, sent from any task, received by one.
#[derive(Debug)]
pub struct Socket {
    socket: AsyncFd<OwnedFd>,
}

impl Socket {
    /// A connected pair: ours, and the one for the child.
    pub fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        // SAFETY: an OwnedFd owns its descriptor, and nobody replaces or closes it while registered.
        let socket = unsafe { AsyncFd::register(ours)? };
        Ok((Self { socket }, theirs))
    }

    /// Sends a command, and the descriptor that it introduces. Credits keep the socket from filling up, so that this
    /// is one system call without waiting; should it be full all the same, waits for room.
    pub async fn send(&self, command: &Command, descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let bytes = command.encode_to_vec();
        loop {
            match self.try_send(&bytes, descriptor) {
                Err(Errno::AGAIN) => self.socket.writable().await?.clear_ready(),
                Err(Errno::INTR) => {}
                other => return other.map_err(io::Error::from),
            }
        }
    }

    fn try_send(&self, bytes: &[u8], descriptor: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors: Vec<BorrowedFd<'_>> = descriptor.into_iter().collect();
        if !descriptors.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(&descriptors));
        }
        sendmsg(self.socket.get_ref(), &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL).map(|_| ())
    }

    /// The next reply; `None` when the interpreter has closed its end.
    pub async fn receive(&self) -> io::Result<Option<Reply>> {
        loop {
            let mut ready = self.socket.readable().await?;
            match self.try_receive() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                received => return received,
            }
        }
    }

    /// The same without waiting: `WouldBlock` where there is none.
    pub fn try_receive(&self) -> io::Result<Option<Reply>> {
        let mut buffer = [0u8; MAX_MESSAGE];
        let socket = self.socket.get_ref().as_fd();
        loop {
            let mut slices = [IoSliceMut::new(&mut buffer)];
            match recvmsg(socket, &mut slices, &mut RecvAncillaryBuffer::default(), RecvFlags::empty()) {
                Err(Errno::INTR) => {}
                // The interpreter died with commands unread.
                Err(Errno::CONNRESET) => return Ok(None),
                Err(error) => return Err(error.into()),
                Ok(message) if message.bytes == 0 => return Ok(None),
                Ok(message) if message.flags.contains(ReturnFlags::TRUNC) => {
                    return Err(io::Error::other(format!("a message of more than {MAX_MESSAGE} bytes")));
                }
                Ok(message) => {
                    let bytes = buffer.get(..message.bytes).unwrap_or_default();
                    return Reply::decode(bytes).map(Some).map_err(io::Error::other);
                }
            }
        }
    }
}
