import { issuerLimits, type IssuerLimits } from '../../../src/core/config/issuer-limits.ts';
import { members } from '../../../src/core/runtime/fields.ts';
import { isProblem } from '../../../src/core/runtime/problem.ts';

/** The limits of an issuer whose configuration names none. */
export function defaultLimits(): IssuerLimits {
  const read = members(issuerLimits)({});
  if (isProblem(read)) throw new Error(read.problem);
  return read;
}
