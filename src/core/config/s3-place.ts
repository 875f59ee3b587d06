import { isProblem } from '../runtime/problem.ts';
import type { Problem } from '../runtime/problem.ts';

/** A bucket and its address. */
export interface S3Place {
  readonly bucket: string;
  /** Empty, or ends in `/`. */
  readonly prefix: string;
  /** Endpoint of a service other than AWS; `null` for AWS. */
  readonly endpoint: string | null;
  /** `null` for that of the environment. */
  readonly region: string | null;
}

const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const PREFIX = /^(?:[A-Za-z0-9._=-]{1,64}\/){0,8}$/;
const KNOWN: ReadonlySet<string> = new Set(['endpoint', 'region']);

/** Parses `s3://bucket/prefix?endpoint=https://…&region=…`. Credentials are never in it: they come from the environment. */
export function s3PlaceFrom(text: string): S3Place | Problem {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.protocol !== 's3:' || url.username !== '' || url.password !== '' || url.port !== '' || url.hash !== '') {
    return { problem: 'must be `s3://bucket/prefix`, and for another service than AWS `?endpoint=https://…`' };
  }
  const bucket = url.hostname;
  if (!BUCKET.test(bucket)) return { problem: `has the invalid name of a bucket \`${bucket}\`` };
  const prefix = url.pathname.replace(/^\//, '').replace(/([^/])$/, '$1/');
  if (!PREFIX.test(prefix)) return { problem: `has the invalid prefix \`${prefix}\`` };
  const unknown = [...url.searchParams.keys()].find((name) => !KNOWN.has(name));
  if (unknown !== undefined)
    return { problem: `has the unknown parameter \`${unknown}\`, expected \`endpoint\` or \`region\`` };
  const endpoint = endpointFrom(url.searchParams.get('endpoint'));
  if (isProblem(endpoint)) return endpoint;
  return { bucket, prefix, endpoint, region: url.searchParams.get('region') };
}

/** Records are confidential, so plain HTTP goes to this host alone. */
function endpointFrom(text: string | null): string | null | Problem {
  if (text === null) return null;
  const url = URL.canParse(text) ? new URL(text) : null;
  const isLocal = url !== null && ['127.0.0.1', '[::1]', 'localhost'].includes(url.hostname);
  if (url !== null && (url.username !== '' || url.password !== ''))
    return { problem: 'has an endpoint with a credential' };
  const isRight = url?.protocol === 'https:' || (url?.protocol === 'http:' && isLocal);
  return isRight
    ? url.origin
    : { problem: `has the endpoint \`${text}\`, expected \`https://host:port\`, or \`http://\` of this host` };
}
