//! The two halves of a WebSocket. The library reads; what it would write by itself while reading goes into the queue.
//! Frames are written here: the library keeps the largest buffer that a connection ever needed for as long as it lasts,
//! a quarter of a megabyte for each device that was once sent a snapshot.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, ReadHalf, WriteHalf};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};

use super::queue::{SendQueue, Waiting};

/// What is gathered before the socket is written to, bytes: as much as one TLS record holds (RFC 8446 section 5.1).
const GATHER_BYTES: usize = 16 * 1024;

/// The reading half, as the library wants it.
#[derive(Debug)]
pub(super) struct Reading<S> {
    pub(super) stream: ReadHalf<S>,
    pub(super) queue: Arc<SendQueue>,
}

impl<S: AsyncRead + AsyncWrite> AsyncRead for Reading<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S> AsyncWrite for Reading<S> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(match self.queue.reply(buf) {
            true => Ok(buf.len()),
            false => Err(io::Error::other("the peer asks for answers and does not read them")),
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Writes all that waits; answers how many bytes of the hub's frames that were.
pub(super) async fn write<S>(stream: &mut WriteHalf<S>, waiting: &Waiting) -> io::Result<usize>
where
    S: AsyncRead + AsyncWrite,
{
    let binary = FrameHeader { opcode: OpCode::Data(Data::Binary), ..FrameHeader::default() };
    let mut gathered = Vec::with_capacity(waiting.replies.len() + gathered_bytes(waiting));
    gathered.extend_from_slice(&waiting.replies);
    let mut bytes = 0;
    for frame in &waiting.frames {
        bytes += frame.len();
        binary.format(frame.len() as u64, &mut gathered).map_err(io::Error::other)?;
        let (now, rest) = frame.split_at(frame.len().min(GATHER_BYTES.saturating_sub(gathered.len())));
        gathered.extend_from_slice(now);
        if gathered.len() >= GATHER_BYTES {
            stream.write_all(&gathered).await?;
            gathered.clear();
            stream.write_all(rest).await?;
        }
    }
    stream.write_all(&gathered).await?;
    stream.flush().await?;
    Ok(bytes)
}

/// How much room the frames want at once.
fn gathered_bytes(waiting: &Waiting) -> usize {
    /// Header of a frame of up to 64 KiB; RFC 6455 section 5.2.
    const HEADER_BYTES: usize = 4;
    waiting.frames.iter().map(|frame| HEADER_BYTES + frame.len()).sum::<usize>().min(GATHER_BYTES + 10)
}

/// Writes a closing frame and ends the stream.
pub(super) async fn write_close<S>(stream: &mut WriteHalf<S>, frame: CloseFrame) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite,
{
    let mut bytes = Vec::new();
    Frame::close(Some(frame)).format(&mut bytes).map_err(io::Error::other)?;
    stream.write_all(&bytes).await?;
    stream.flush().await
}
