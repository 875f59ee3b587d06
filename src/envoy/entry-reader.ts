import { deny } from '../decision/decision.ts';
import { WireReader } from './wire-reader.ts';

/** Of headers, names of a certificate and namespaces of metadata, in one entry. */
const MAX_PARTS = 256;

/** Reads one entry of an access log, and bounds what can be many in it. */
export class EntryReader extends WireReader {
  #parts = 0;

  /** Counts a header, a name of a certificate or a namespace; whether it may be read. */
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
