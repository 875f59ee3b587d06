import { type Deny, deny } from '../decision/decision.ts';

/** What says how long a request is and how it is written. */
export interface Framing {
  readonly method: string;
  /** By lower-case name. */
  readonly headers: ReadonlyMap<string, readonly string[]>;
  /** Whole, or `null` where none was inspected. */
  readonly body: Uint8Array | null;
}

/** RFC 9110 sections 9.3.1 and 9.3.2: content of these has no meaning, so servers differ in whether they read it. */
const WITHOUT_CONTENT: ReadonlySet<string> = new Set(['GET', 'HEAD']);

/**
 * Why the length or the form of a request leaves room for two readings, or `null`. `request.not-canonical` for a length
 * that is no number, a length beside `transfer-encoding`, any `transfer-encoding` but `chunked`, and a GET or HEAD with
 * content; `request.body-incomplete` for a body of another length than announced; `request.unsupported` for a compressed
 * body, which is nowhere unpacked, and for an `expect` that is not `100-continue`.
 *
 * @see RFC 9112 section 6.3, RFC 9110 sections 8.4 and 10.1.1
 */
export function framingProblem({ method, headers, body }: Framing): Deny | null {
  const length = headers.get('content-length')?.[0];
  const coding = headers.get('transfer-encoding')?.[0];
  if (length !== undefined && !/^[0-9]{1,15}$/.test(length)) return notCanonical('the `content-length` is no number');
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') {
    return notCanonical('the `transfer-encoding` is not `chunked`');
  }
  if (length !== undefined && coding !== undefined) {
    return notCanonical('there is a `content-length` beside `transfer-encoding`');
  }
  const announced = length === undefined ? null : Number(length);
  const hasContent = (body?.length ?? 0) > 0 || (announced ?? 0) > 0 || coding !== undefined;
  if (hasContent && WITHOUT_CONTENT.has(method)) return notCanonical(`a ${method} request has content`);
  if (body !== null && announced !== null && body.length !== announced) {
    return deny('request.body-incomplete', 'the body is not as long as its `content-length`');
  }
  return formProblem(headers);
}

function formProblem(headers: Framing['headers']): Deny | null {
  const encoding = headers.get('content-encoding')?.[0]?.toLowerCase();
  if (encoding !== undefined && encoding !== 'identity') return unsupported('the body is compressed');
  const expected = headers.get('expect')?.[0]?.toLowerCase();
  return expected === undefined || expected === '100-continue'
    ? null
    : unsupported('the `expect` header is not `100-continue`');
}

const notCanonical = (detail: string): Deny => deny('request.not-canonical', detail);
const unsupported = (detail: string): Deny => deny('request.unsupported', detail);
