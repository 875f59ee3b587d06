import { messageBytes, delimitedField, number, textField } from '../protobuf/text-writer.ts';

/** A header and its value. */
export type SetHeader = readonly [name: string, value: string];

/** The part of a CheckResponse about the request: pass it with header changes, or answer it. */
export type HttpAnswer =
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
export function checkResponseBytes(answer: HttpAnswer, metadata: readonly SetHeader[]): Buffer {
  return messageBytes(
    (answer.kind === 'ok' ? okFrom(answer) : deniedFrom(answer)) + delimitedField(4, metadata.map(field).join('')),
  );
}

/** An explicit status code 0. INVARIANT: nothing else in this file writes one. */
const OK_STATUS = delimitedField(1, number(1, 0));

const okFrom = ({ headers, headersToRemove }: HttpAnswer & { readonly kind: 'ok' }): string =>
  OK_STATUS +
  delimitedField(3, headers.map(option).join('') + headersToRemove.map((name) => textField(5, name)).join(''));

function deniedFrom({ code, message, httpStatus, headers, body }: HttpAnswer & { readonly kind: 'denied' }): string {
  if (!Number.isInteger(code) || code < 1) throw new Error('the status of a denial must be above 0');
  const status = delimitedField(1, number(1, code) + textField(2, message));
  return (
    status +
    delimitedField(2, delimitedField(1, number(1, httpStatus)) + headers.map(option).join('') + textField(3, body))
  );
}

const OVERWRITE_IF_EXISTS_OR_ADD = 2;
/** `append: { value: false }` and the equivalent action. */
const OVERWRITE = delimitedField(2, number(1, 0)) + number(3, OVERWRITE_IF_EXISTS_OR_ADD);

/** An entry of `headers`: a `HeaderValueOption`. */
const option = ([name, value]: SetHeader): string =>
  delimitedField(2, delimitedField(1, textField(1, name) + textField(2, value)) + OVERWRITE);

/** An entry of `fields` of a `Struct`. */
const field = ([name, value]: SetHeader): string =>
  delimitedField(1, textField(1, name) + delimitedField(2, textField(3, value)));
