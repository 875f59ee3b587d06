import type { Check } from '../check.ts';
import type { Finding } from '../finding.ts';
import type { CanaryFacts } from './canary-facts.ts';

/** Envoy's own answer in place of a decision, in the shipped configuration. */
const NO_DECISION = 'deny;reason=envoy.no-decision';

/** The check of the canary call. */
export const canaryChecks: readonly Check[] = [
  {
    category: 'canary',
    title: 'Remit was asked about a call without a token, and denied it',
    run: ({ canary }) => (canary === null ? null : canaryFindings(canary)),
  },
];

/** A counter that did not move proves that Remit was not asked; a header alone could come from the upstream. */
function canaryFindings({ checks, decision, status, url }: CanaryFacts): readonly Finding[] {
  const where = `canary/${url}`;
  if (decision.startsWith(NO_DECISION))
    return [
      {
        code: 'canary.not-reached',
        where,
        message: `Envoy asked, and got no answer from Remit: ${status}`,
        fix: 'look at the findings `envoy.unreachable`, `envoy.socket-access` and `envoy.cluster-http1`, or examine Envoy with --envoy',
      },
    ];
  if (checks === 0 || (checks === null && decision === ''))
    return [
      {
        code: 'canary.not-asked',
        where,
        message:
          checks === 0
            ? `it was answered ${status}, and Remit has counted no check`
            : `it was answered ${status}, without the header x-remit-decision of Remit`,
        fix: 'examine the Envoy that answers this URL with --envoy; a 400, 404 or 413 is its own answer before the check: try another path',
      },
    ];
  return [...passed({ decision, status }, where), ...unproven(checks, where)];
}

/** A denial of Remit says so in a header. Without it the answer is that of the tool, whatever its status is. */
const passed = ({ decision, status }: Pick<CanaryFacts, 'decision' | 'status'>, where: string): readonly Finding[] =>
  (status >= 200 && status < 300) || !decision.startsWith('deny')
    ? [
        {
          code: 'canary.allowed',
          where,
          message: `a call without a token was answered ${status}${status < 300 ? '' : ', and not by a denial of Remit: the tool got it'}`,
          fix: 'look at the record of this call; if a policy permits callers without a task, suppress this finding',
        },
      ]
    : [];

const unproven = (checks: number | null, where: string): readonly Finding[] =>
  checks === null
    ? [
        {
          code: 'canary.unproven',
          where,
          message: 'the answer has the header of Remit; whether Remit counted the check could not be seen',
          fix: 'name the admin address of Remit with --remit',
        },
      ]
    : [];
