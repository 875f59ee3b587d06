import { fieldsBy, ProtobufWriter } from '../../../core/protobuf/writer.ts';

/** A header and its value. */
export type SetHeader = readonly [name: string, value: string];

/** The part of a CheckResponse about the request: pass it with header changes, or answer it. */
export type CheckedAnswer =
  | { readonly kind: 'ok'; readonly headers: readonly SetHeader[]; readonly headersToRemove: readonly string[] }
  | {
      readonly kind: 'denied';
      /** A gRPC status code other than 0. */
      readonly code: number;
      readonly message: string;
      readonly httpStatus: number;
      readonly headers: readonly SetHeader[];
      readonly body: string;
    };

/**
 * Serialises a CheckResponse. Each header has both `append` and `append_action`, because Envoy versions differ in which they
 * obey (envoyproxy/envoy#43310).
 *
 * @param metadata goes to the namespace `envoy.filters.http.ext_authz`
 * @see proto/envoy/service/auth/v3/external_auth.proto
 */
export function checkResponseBytes(answer: CheckedAnswer, metadata: readonly SetHeader[]): Buffer {
  const into = scratch;
  into.clear();
  if (answer.kind === 'ok') writeOk(into, answer);
  else writeDenied(into, answer);
  const dynamic = into.open(4);
  for (const [name, value] of metadata) {
    const field = into.open(1);
    into.text(1, name);
    const text = into.open(2);
    into.text(3, value);
    into.close(text);
    into.close(field);
  }
  into.close(dynamic);
  return Buffer.from(into.bytes);
}

/** Scratch space shared by all answers: each is copied out of it. Initially large enough for an ordinary answer. */
const scratch = new ProtobufWriter(1_024);

/** An explicit status code 0. INVARIANT: nothing else in this file writes status code 0. */
const OK_STATUS = fieldsBy((into) => {
  const status = into.open(1);
  into.integer(1, 0);
  into.close(status);
});

function writeOk(into: ProtobufWriter, { headers, headersToRemove }: CheckedAnswer & { readonly kind: 'ok' }): void {
  into.raw(OK_STATUS);
  const ok = into.open(3);
  for (const header of headers) writeOption(into, header);
  for (const name of headersToRemove) into.text(5, name);
  into.close(ok);
}

function writeDenied(into: ProtobufWriter, denied: CheckedAnswer & { readonly kind: 'denied' }): void {
  const { code, message, httpStatus, headers, body } = denied;
  if (!Number.isInteger(code) || code < 1) throw new Error('the status of a denial must be above 0');
  const status = into.open(1);
  into.integer(1, code);
  into.text(2, message);
  into.close(status);
  const response = into.open(2);
  const http = into.open(1);
  into.integer(1, httpStatus);
  into.close(http);
  for (const header of headers) writeOption(into, header);
  into.text(3, body);
  into.close(response);
}

const OVERWRITE_IF_EXISTS_OR_ADD = 2;
/** `append: { value: false }` and the equivalent action. */
const OVERWRITE = fieldsBy((into) => {
  const append = into.open(2);
  into.integer(1, 0);
  into.close(append);
  into.integer(3, OVERWRITE_IF_EXISTS_OR_ADD);
});

/** An entry of `headers`: a `HeaderValueOption`. */
function writeOption(into: ProtobufWriter, [name, value]: SetHeader): void {
  const option = into.open(2);
  const header = into.open(1);
  into.text(1, name);
  into.text(2, value);
  into.close(header);
  into.raw(OVERWRITE);
  into.close(option);
}
