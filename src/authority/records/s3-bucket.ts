import {
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3';
import type { Problem } from '../../core/runtime/problem.ts';
import type { S3Place } from '../../core/config/s3-place.ts';
import type { Bucket, ObjectPage } from './record-objects.ts';
import { errorCode } from '../../core/runtime/system/error-code.ts';

/** Longest wait for an answer. A store that stalls counts as failed. */
const REQUEST_MS = 15_000;

/**
 * The objects of an S3-compatible store under a prefix. An object is written once and never changed. Credentials come from the environment
 * of the process, as the AWS SDK finds them: variables, files, web identity of a pod, or the machine's own.
 *
 * Lifecycle: `close` once. Every failure of the service and of the network is a problem in words, without an address or a credential.
 *
 * @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
 */
export class S3Bucket implements Bucket {
  readonly #place: S3Place;
  readonly #client: S3Client;
  readonly #requestMs: number;

  /** @param options.requestMs longest wait for an answer; default 15 s */
  constructor(place: S3Place, { requestMs = REQUEST_MS }: { readonly requestMs?: number } = {}) {
    this.#place = place;
    this.#requestMs = requestMs;
    this.#client = new S3Client({
      ...(place.region === null ? {} : { region: place.region }),
      // Another service has no host name for each bucket.
      ...(place.endpoint === null
        ? {}
        : { endpoint: place.endpoint, forcePathStyle: true, region: place.region ?? 'us-east-1' }),
      // The caller repeats what failed.
      maxAttempts: 1,
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
    });
  }

  /**
   * Why the bucket cannot be used: it is not there, does not answer, or does not know these credentials. `null` if it can, also if they may
   * not list it: they may write to it all the same.
   */
  async reachProblem(): Promise<string | null> {
    const { bucket, prefix } = this.#place;
    try {
      await this.#client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, MaxKeys: 1 }), this.#within());
      return null;
    } catch (error) {
      return error instanceof S3ServiceException && error.name === 'AccessDenied' ? null : s3ErrorText(error);
    }
  }

  async put(name: string, body: Uint8Array): Promise<string | null> {
    const object = { Bucket: this.#place.bucket, Key: `${this.#place.prefix}${name}` };
    try {
      await this.#client.send(new PutObjectCommand({ ...object, Body: body, IfNoneMatch: '*' }), this.#within());
      return null;
    } catch (error) {
      return isStatus(error, 412) ? this.#sizeProblem(object, body.length) : s3ErrorText(error);
    }
  }

  async #sizeProblem(object: { readonly Bucket: string; readonly Key: string }, size: number): Promise<string | null> {
    try {
      const { ContentLength: length } = await this.#client.send(new HeadObjectCommand(object), this.#within());
      return length === size ? null : `\`${object.Key}\` is there with ${length} bytes, expected ${size}`;
    } catch (error) {
      return s3ErrorText(error);
    }
  }

  async get(name: string): Promise<Uint8Array | null | Problem> {
    try {
      const object = { Bucket: this.#place.bucket, Key: `${this.#place.prefix}${name}` };
      const { Body: body } = await this.#client.send(new GetObjectCommand(object), this.#within());
      return (await body?.transformToByteArray()) ?? new Uint8Array();
    } catch (error) {
      return isStatus(error, 404) ? null : { problem: s3ErrorText(error) };
    }
  }

  async list(next: string | null): Promise<ObjectPage | Problem> {
    const { bucket, prefix } = this.#place;
    const command = new ListObjectsV2Command({
      Bucket: bucket,
      Prefix: prefix,
      ...(next === null ? {} : { ContinuationToken: next }),
    });
    try {
      const page = await this.#client.send(command, this.#within());
      const objects = (page.Contents ?? []).map(({ Key: key = '', Size: bytes = 0 }) => ({
        name: key.slice(prefix.length),
        bytes,
      }));
      return { objects, next: page.NextContinuationToken ?? null };
    } catch (error) {
      return { problem: s3ErrorText(error) };
    }
  }

  async remove(names: readonly string[]): Promise<string | null> {
    const { bucket, prefix } = this.#place;
    const objects = names.map((name) => ({ Key: `${prefix}${name}` }));
    try {
      const command = new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects: objects, Quiet: true } });
      const { Errors: errors = [] } = await this.#client.send(command, this.#within());
      const [first] = errors;
      return first === undefined ? null : `\`${first.Key ?? ''}\` was not deleted: ${first.Code ?? 'unknown'}`;
    } catch (error) {
      return s3ErrorText(error);
    }
  }

  close(): void {
    this.#client.destroy();
  }

  #within(): { readonly abortSignal: AbortSignal } {
    return { abortSignal: AbortSignal.timeout(this.#requestMs) };
  }
}

const isStatus = (error: unknown, status: number): boolean =>
  error instanceof S3ServiceException && error.$metadata.httpStatusCode === status;

/** The code of the service, of the system, or the name of the error. */
function s3ErrorText(error: unknown): string {
  if (error instanceof S3ServiceException)
    return `${error.name} (status ${error.$metadata.httpStatusCode ?? 'unknown'})`;
  const code = errorCode(error);
  if (code !== undefined) return code;
  if (error instanceof Error && error.name === 'AbortError') return 'it did not answer in time';
  return error instanceof Error ? error.name : String(error);
}
