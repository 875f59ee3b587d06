import { ErrorCode, Flag, type Frame, MAX_31_BITS } from './frame.ts';
import { HeaderDecoder, type HeaderList, MAX_BLOCK_BYTES } from './header-decoder.ts';
import { unpadded } from './padding.ts';

/** Headers of a stream, all of which are there. */
export interface StreamHeaders {
  readonly stream: number;
  readonly list: Exclude<HeaderList, 'malformed'>;
  /** Nothing comes after them. */
  readonly endsStream: boolean;
  /** A priority that says nothing. */
  readonly dependsOnItself: boolean;
}

/** Pieces of one block. */
const MAX_PIECES = 64;
const PRIORITY_BYTES = 5;

/** What is known of headers before they are read. */
type Begun = Omit<StreamHeaders, 'list'>;

interface OpenBlock {
  readonly begun: Begun;
  readonly pieces: Buffer[];
  bytes: number;
}

/**
 * Puts the headers of a connection together from their frames. INVARIANT: every block is decoded, whatever becomes of its stream,
 * since later ones refer to it.
 *
 * @see RFC 9113 section 4.3
 */
export class HeaderBlocks {
  readonly #decoder = new HeaderDecoder();
  #open: OpenBlock | null = null;

  /** The stream whose headers are not all there: no other frame may come; `null` where there is none. */
  get openStream(): number | null {
    return this.#open?.begun.stream ?? null;
  }

  /** Takes a HEADERS frame. @returns headers, where they end; an error of the connection for what are none */
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

  #decoded({ stream, endsStream, dependsOnItself }: Begun, block: Buffer): StreamHeaders | number {
    const list = this.#decoder.decode(block);
    return list === 'malformed' ? ErrorCode.compression : { stream, list, endsStream, dependsOnItself };
  }
}
