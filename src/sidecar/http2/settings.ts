import { ErrorCode, MAX_31_BITS, MAX_FRAME_BYTES } from './frame.ts';

/** The settings that are sent or read. @see RFC 9113 section 6.5.2 */
export const Http2Setting = Object.freeze({
  enablePush: 0x2,
  maxConcurrentStreams: 0x3,
  initialWindowSize: 0x4,
  maxFrameSize: 0x5,
  maxHeaderListSize: 0x6,
});

const SETTING_BYTES = 6;

/** The payload of a SETTINGS frame. */
export function settingsBytes(settings: readonly (readonly [setting: number, value: number])[]): Buffer {
  const bytes = Buffer.alloc(settings.length * SETTING_BYTES);
  for (const [index, [setting, value]] of settings.entries()) {
    bytes.writeUInt16BE(setting, index * SETTING_BYTES);
    bytes.writeUInt32BE(value, index * SETTING_BYTES + 2);
  }
  return bytes;
}

/** The client's settings that matter here. */
export interface ToldSettings {
  /** Initial window of new streams; `null` if it is unchanged. */
  readonly initialWindowSize: number | null;
}

/**
 * Parses the payload of a SETTINGS frame; the last value of a setting wins. The client's limits on frame and table size are
 * ignored: what is sent always fits the protocol's minimum.
 *
 * @returns the client's settings, or a connection error code
 */
export function settingsFrom(payload: Buffer): ToldSettings | number {
  if (payload.length % SETTING_BYTES !== 0) return ErrorCode.frameSize;
  let initialWindowSize: number | null = null;
  for (let at = 0; at < payload.length; at += SETTING_BYTES) {
    const [setting, value] = [payload.readUInt16BE(at), payload.readUInt32BE(at + 2)];
    if (setting === Http2Setting.enablePush && value > 1) return ErrorCode.protocol;
    if (setting === Http2Setting.maxFrameSize && (value < MAX_FRAME_BYTES || value > 0xff_ffff))
      return ErrorCode.protocol;
    if (setting !== Http2Setting.initialWindowSize) continue;
    if (value > MAX_31_BITS) return ErrorCode.flowControl;
    initialWindowSize = value;
  }
  return { initialWindowSize };
}
