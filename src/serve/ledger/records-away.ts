import type { Config } from '../../core/config/config.ts';
import { recordsPlaceOf } from '../../core/config/records.ts';
import type { StartProblem } from '../start-problem.ts';

/**
 * Why the bucket for the records of sidecars cannot be used yet; `null` if it can, or the records are kept elsewhere. An authority that serves
 * without it would have its sidecars deny as soon as their logs are full.
 */
export async function recordsAway(
  config: Pick<Config, 'authority' | 'records' | 'state'>,
): Promise<null | StartProblem> {
  const place = config.authority.listen.length === 0 ? null : recordsPlaceOf(config);
  if (place?.kind !== 's3') return null;
  // Loaded here alone: it is large.
  const { S3Bucket } = await import('../../authority/records/s3-bucket.ts');
  const bucket = new S3Bucket(place.place);
  const problem = await bucket.reachProblem();
  bucket.close();
  return problem === null
    ? null
    : {
        problem: `the bucket \`${place.place.bucket}\` of \`records\` cannot be used: ${problem}`,
        mayPass: true,
      };
}
