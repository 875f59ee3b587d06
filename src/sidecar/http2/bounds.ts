/**
 * Limits of one connection. Envoy is a trusted peer, but its behaviour follows its clients: it resets a stream for every client
 * that disconnects, so the limit on resets is high.
 */
export const BOUNDS = Object.freeze({
  /** Time for the client's preface to arrive. */
  prefaceMs: 10_000,
  /** Time for the peer to receive the last frames of a connection that is closing. */
  lingerMs: 1_000,
  /** Time for the peer to read what was written, once more than `unreadBytes` are unread. */
  stalledMs: 30_000,
  /**
   * Time for the peer to end its half of a stream that has been answered. Many such streams at once have less: the oldest are
   * reset.
   */
  letGoMs: 200,
  lettingGo: 16_384,
  /** Concurrent streams. Further streams are refused, which tells the client that a retry is safe. */
  streams: 1_024,
  /** Bytes received on all streams and not yet consumed. */
  windowBytes: 16 * 1_024 * 1_024,
  /** Answer bytes waiting for the client's flow-control windows. Above it new streams are refused. */
  heldBytes: 64 * 1_024 * 1_024,
  /** Bytes written that the peer has not read. Above it the connection is not read either, so that the backlog cannot grow. */
  unreadBytes: 1_024 * 1_024,
  /** Streams reset here for which late frames of the client are ignored rather than treated as errors. */
  resetRemembered: 4_096,
  /** RST_STREAM frames of the client, and resets that its errors cause. */
  resets: { burst: 100_000, perSecond: 20_000 },
  /** Frames that carry no data, such as PING and empty DATA. Each request and the passing of time earn some. */
  idleFrames: { burst: 10_000, perSecond: 1_000 },
  idleFramesOfARequest: 16,
});
