/**
 * What one connection may hold and do. Envoy is a trusted peer, but what it does follows what its clients do: it resets a stream
 * for each of them that goes away, so that many resets are let pass.
 */
export const BOUNDS = Object.freeze({
  /** For the preface to be there. */
  prefaceMs: 10_000,
  /** For the other end of a connection that is over to take what it was told last. */
  lingerMs: 1_000,
  /** For the other end to take what was written, once that is over `unreadBytes`. */
  stalledMs: 30_000,
  /** For the other end to end its part of a stream that was answered and is let go; of more streams at once the oldest have less. */
  letGoMs: 200,
  lettingGo: 16_384,
  /** Streams at once; one more is refused, and the client may try again. */
  streams: 1_024,
  /** What a client may have sent that nobody has dealt with, of all streams together. */
  windowBytes: 16 * 1_024 * 1_024,
  /** Of answers that wait for the client's windows: over it new streams are refused. */
  heldBytes: 64 * 1_024 * 1_024,
  /** Written and not read by the other end: over it nothing is read from it either, so that it cannot have ever more written. */
  unreadBytes: 1_024 * 1_024,
  /** Streams that were reset here and whose late frames are no error. */
  resetRemembered: 4_096,
  /** Resets by the client, or for what it did. */
  resets: { burst: 100_000, perSecond: 20_000 },
  /** Frames that bring nothing: each request pays for some, and time for those of a connection that is kept alive. */
  idleFrames: { burst: 10_000, perSecond: 1_000 },
  idleFramesOfARequest: 16,
});
