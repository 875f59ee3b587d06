import { deny } from '../../../core/decision/decision.ts';
import { WireReader } from '../wire-reader.ts';

/** Most headers, certificate names and metadata namespaces in one entry. */
const MAX_PARTS = 256;

/** Reads one access log entry with limits. */
export class EntryReader extends WireReader {
  #parts = 0;

  /** Counts a header, certificate name or namespace. Returns whether the limit allows it. */
  isPartWithin(): boolean {
    this.#parts += 1;
    if (this.#parts <= MAX_PARTS) return true;
    this.fail(deny('request.too-large', `an entry has more than ${MAX_PARTS} headers, names and namespaces`));
    return false;
  }

  override malformed(detail: string): void {
    this.fail(deny('request.malformed', `not an access log entry: ${detail}`));
  }
}
