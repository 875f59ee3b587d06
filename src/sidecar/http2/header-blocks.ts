import { ErrorCode, Flag, type Frame, MAX_31_BITS } from './frame.ts';
import { HeaderDecoder, type HeaderList, MAX_BLOCK_BYTES } from './header-decoder.ts';
import { unpadded } from './padding.ts';

/** The complete headers of a stream. */
export interface StreamHeaders {
  readonly stream: number;
  readonly list: Exclude<HeaderList, 'malformed'>;
  /** Whether END_STREAM was set. */
  readonly endsStream: boolean;
  /** Whether the priority names the stream itself, which is a stream error. */
  readonly dependsOnItself: boolean;
}

/** Most frames (HEADERS and CONTINUATION) of one header block. */
const MAX_PIECES = 64;
const PRIORITY_BYTES = 5;

/** The content of the HEADERS frame besides the block. */
type BlockStart = Omit<StreamHeaders, 'list'>;

interface OpenBlock {
  readonly begun: BlockStart;
  readonly pieces: Buffer[];
  bytes: number;
}

/**
 * Assembles header blocks from HEADERS and CONTINUATION frames. INVARIANT: decodes every block, even of a refused stream,
 * because later blocks refer to its entries in the dynamic table.
 *
 * @see RFC 9113 section 4.3
 */
export class HeaderBlocks {
  readonly #decoder = new HeaderDecoder();
  #open: OpenBlock | null = null;

  /** The stream whose header block is incomplete; only its CONTINUATION frames may follow. `null` if there is none. */
  get openStream(): number | null {
    return this.#open?.begun.stream ?? null;
  }

  /**
   * Takes a HEADERS frame. @returns the headers if the block is complete, `null` if it is not, a connection error code if it is invalid
   */
  begin({ flags, payload, stream }: Frame): StreamHeaders | number | null {
    const content = unpadded(payload, flags);
    if (content === null) return ErrorCode.protocol;
    const isPrioritised = (flags & Flag.priority) !== 0;
    if (isPrioritised && content.length < PRIORITY_BYTES) return ErrorCode.frameSize;
    const piece = isPrioritised ? content.subarray(PRIORITY_BYTES) : content;
    const begun = {
      stream,
      endsStream: (flags & Flag.endStream) !== 0,
      dependsOnItself: isPrioritised && (content.readUInt32BE(0) & MAX_31_BITS) === stream,
    };
    if ((flags & Flag.endHeaders) !== 0) return this.#decoded(begun, piece);
    this.#open = { begun, pieces: [piece], bytes: piece.length };
    return null;
  }

  /** Takes a CONTINUATION frame. @returns as `begin` */
  goOn({ flags, payload }: Frame): StreamHeaders | number | null {
    const block = this.#open;
    if (block === null) return ErrorCode.protocol;
    block.pieces.push(payload);
    block.bytes += payload.length;
    if (block.bytes > MAX_BLOCK_BYTES || block.pieces.length > MAX_PIECES) return ErrorCode.enhanceYourCalm;
    if ((flags & Flag.endHeaders) === 0) return null;
    this.#open = null;
    return this.#decoded(block.begun, Buffer.concat(block.pieces));
  }

  #decoded({ stream, endsStream, dependsOnItself }: BlockStart, block: Buffer): StreamHeaders | number {
    const list = this.#decoder.decode(block);
    return list === 'malformed' ? ErrorCode.compression : { stream, list, endsStream, dependsOnItself };
  }
}
