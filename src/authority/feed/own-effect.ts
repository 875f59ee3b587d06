import type { LimitSpend } from '../../core/limit/limit-spend.ts';
import { limitsForAgent, limitWho } from '../../core/limit/limit-spends.ts';
import type { Limit, LimitEffect, LimitKey, LimitMeasure } from '../../core/limit/limit.ts';
import { isSpiffeIdPattern } from '../../core/identity/spiffe-id-pattern.ts';
import type { SpiffeId } from '../../core/identity/spiffe-id.ts';

/** Whose use a sidecar settles. */
interface LimitedUse {
  readonly agent: string;
  /** The subject of its task; `null` without a task, of which only the sidecar knows the user. */
  readonly user: string | null;
}

/**
 * Whether a limit that refuses a spend of a sidecar suspends or stops, by the policies of this authority. INVARIANT: it only denies unless the
 * limit as this authority has it is used up by such a use: a sidecar that names a smaller maximum, the counter of somebody else or another
 * window stops nobody.
 */
export function ownEffect(limits: readonly Limit[], spend: LimitSpend, use: LimitedUse): LimitEffect {
  if (spend.effect === 'deny' || !isSpiffeIdPattern(use.agent)) return 'deny';
  // Safe: an identity, or a pattern, which stops nobody.
  const limit = limitsForAgent(limits, use.agent as SpiffeId).find(({ id }) => id === spend.limit);
  if (limit === undefined || limit.windowMs !== spend.windowMs || !isOfUse(limit, spend.who, use)) return 'deny';
  const measure = limit.measures.find((one) => isCounted(one, spend));
  return measure !== undefined && spend.max >= measure.max ? limit.effect : 'deny';
}

function isCounted(measure: LimitMeasure, { amount, measure: counted }: LimitSpend): boolean {
  switch (measure.of) {
    case 'amount':
      return counted === (measure.isDecimal ? 'decimal' : 'amount');
    case 'calls':
    case 'distinct':
      return counted === measure.of && amount === 1;
    // Taken by declarations, at the authority itself.
    case 'tasks':
    case 'openTasks':
      return false;
    default:
      return measure satisfies never;
  }
}

/** Whether a counter is that of the agent and the user of the use, by the keys of the limit. Any server may be named. */
function isOfUse({ per }: Limit, who: string, { agent, user }: LimitedUse): boolean {
  const values = whoIn(who);
  const of = (key: LimitKey): string => {
    const named = values[per.indexOf(key)] ?? '';
    return key === 'agent' ? agent : key === 'user' ? (user ?? named) : named;
  };
  return who === limitWho(per, { agent: of('agent'), user: of('user'), server: of('server') });
}

function whoIn(who: string): readonly string[] {
  try {
    const values: unknown = JSON.parse(who);
    return Array.isArray(values) && values.every((value) => typeof value === 'string') ? values : [];
  } catch {
    return [];
  }
}
