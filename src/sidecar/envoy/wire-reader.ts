import { type Deny, deny } from '../../core/decision/decision.ts';
import { type WireFault, ProtobufReader } from '../../core/protobuf/reader.ts';

const words: Readonly<Record<Exclude<WireFault, 'not-utf8'>, string>> = {
  'beyond-end': 'a field goes beyond its message',
  'endless-number': 'a number is incomplete or too long',
  'field-number': 'a field has the number 0',
  'unknown-wire-type': 'a field has an unknown wire type',
  'other-wire-type': 'a field has another wire type',
  twice: 'a field is repeated',
};

/** Reads a message of Envoy. The first error is the `problem`; after it nothing is read and values are empty. */
export class WireReader extends ProtobufReader {
  #problem: Deny | null = null;

  /** The first error. */
  get problem(): Deny | null {
    return this.#problem;
  }

  /** Records that the message is malformed. */
  malformed(detail: string): void {
    this.fail(deny('request.malformed', `not a CheckRequest: ${detail}`));
  }

  /** Records the problem and ends reading: all field loops stop. */
  fail(problem: Deny): void {
    this.#problem ??= problem;
    this.stop();
  }

  override broken(fault: WireFault): void {
    super.broken(fault);
    if (fault !== 'not-utf8') this.malformed(words[fault]);
    else this.fail(deny('request.not-canonical', 'a text of the request is not UTF-8'));
  }
}
