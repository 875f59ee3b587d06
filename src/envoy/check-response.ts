import { messageBytes, delimitedField, number, textField } from './wire-writer.ts';

/** A header and its value. */
export type SetHeader = readonly [name: string, value: string];

/** What is said of the request in a CheckResponse: it passes, with headers set and others removed, or it is answered. */
export type HttpAnswer =
  | { readonly kind: 'ok'; readonly headers: readonly SetHeader[]; readonly headersToRemove: readonly string[] }
  | {
      readonly kind: 'denied';
      /** A gRPC status code that is not 0. */
      readonly code: number;
      readonly message: string;
      readonly httpStatus: number;
      readonly headers: readonly SetHeader[];
      readonly body: string;
    };

/**
 * The bytes of a CheckResponse. Every header has both its `append` and its `append_action`, since versions of Envoy differ in
 * which they obey (envoyproxy/envoy#43310).
 *
 * @param metadata what lands in the namespace `envoy.filters.http.ext_authz`
 * @see proto/envoy/service/auth/v3/external_auth.proto
 */
export function checkResponseBytes(answer: HttpAnswer, metadata: readonly SetHeader[]): Buffer {
  return messageBytes(
    (answer.kind === 'ok' ? okFrom(answer) : deniedFrom(answer)) + delimitedField(4, metadata.map(field).join('')),
  );
}

/** Status code 0, and it is there: INVARIANT: nothing else in this file writes one. */
const OK_STATUS = delimitedField(1, number(1, 0));

const okFrom = ({ headers, headersToRemove }: HttpAnswer & { readonly kind: 'ok' }): string =>
  OK_STATUS +
  delimitedField(3, headers.map(option).join('') + headersToRemove.map((name) => textField(5, name)).join(''));

function deniedFrom({ code, message, httpStatus, headers, body }: HttpAnswer & { readonly kind: 'denied' }): string {
  if (!Number.isInteger(code) || code < 1) throw new Error('the status of a denial is not above 0');
  const status = delimitedField(1, number(1, code) + textField(2, message));
  return (
    status +
    delimitedField(2, delimitedField(1, number(1, httpStatus)) + headers.map(option).join('') + textField(3, body))
  );
}

const OVERWRITE_IF_EXISTS_OR_ADD = 2;
/** `append: { value: false }` and the action that means the same. */
const OVERWRITE = delimitedField(2, number(1, 0)) + number(3, OVERWRITE_IF_EXISTS_OR_ADD);

/** An entry of `headers`: a `HeaderValueOption`. */
const option = ([name, value]: SetHeader): string =>
  delimitedField(2, delimitedField(1, textField(1, name) + textField(2, value)) + OVERWRITE);

/** An entry of `fields` of a `Struct`. */
const field = ([name, value]: SetHeader): string =>
  delimitedField(1, textField(1, name) + delimitedField(2, textField(3, value)));
