import { type Deny, deny } from '../../../core/decision/decision.ts';

/** What determines the length and encoding of a request. */
export interface Framing {
  readonly method: string;
  /** By lower-case name. */
  readonly headers: ReadonlyMap<string, readonly string[]>;
  /** The whole body, or `null` if it was not inspected. */
  readonly body: Uint8Array | null;
}

/** Content of these has no meaning, so servers differ in whether they read it (RFC 9110 sections 9.3.1 and 9.3.2). */
const WITHOUT_CONTENT: ReadonlySet<string> = new Set(['GET', 'HEAD']);

/**
 * Why the framing of a request is ambiguous, or `null`. `request.not-canonical`: invalid length, length beside
 * `transfer-encoding`, any `transfer-encoding` but `chunked`, content in a GET or HEAD. `request.body-incomplete`: body and
 * length differ. `request.unsupported`: a compressed body, which is never decompressed, announced trailers, or an `expect`
 * other than `100-continue`.
 *
 * @see RFC 9112 section 6.3, RFC 9110 sections 8.4 and 10.1.1
 */
export function framingProblem({ method, headers, body }: Framing): Deny | null {
  const length = headers.get('content-length')?.[0];
  const coding = headers.get('transfer-encoding')?.[0];
  if (length !== undefined && !/^[0-9]{1,15}$/.test(length))
    return notCanonical('the `content-length` must be a number');
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') {
    return notCanonical('the `transfer-encoding` must be `chunked`');
  }
  if (length !== undefined && coding !== undefined) {
    return notCanonical('there is a `content-length` beside `transfer-encoding`');
  }
  const announced = length === undefined ? null : Number(length);
  const hasContent = (body?.length ?? 0) > 0 || (announced ?? 0) > 0 || coding !== undefined;
  if (hasContent && WITHOUT_CONTENT.has(method)) return notCanonical(`a ${method} request has content`);
  if (body !== null && announced !== null && body.length !== announced) {
    return deny('request.body-incomplete', 'the body and its `content-length` differ in length');
  }
  return formProblem(headers);
}

function formProblem(headers: Framing['headers']): Deny | null {
  const encoding = headers.get('content-encoding')?.[0]?.toLowerCase();
  if (encoding !== undefined && encoding !== 'identity') return unsupported('the body is compressed');
  if (headers.has('trailer')) return unsupported('the request announces trailers, which no check sees');
  const expected = headers.get('expect')?.[0]?.toLowerCase();
  return expected === undefined || expected === '100-continue'
    ? null
    : unsupported('the `expect` header must be `100-continue`');
}

const notCanonical = (detail: string): Deny => deny('request.not-canonical', detail);
const unsupported = (detail: string): Deny => deny('request.unsupported', detail);
