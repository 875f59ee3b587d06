import type { Step, StoryOutcome } from '../story.ts';
import { LEASE_SECONDS, SIDECARS } from './dev-fleet.ts';
import type { DevFleet, SidecarNumber } from './dev-fleet.ts';
import { completeTask, declareTask, spendBudget, useToken, useTokenPatiently } from './fleet-agent.ts';
import type { FleetEnd, FleetTask, Race } from './fleet-agent.ts';

const BUDGET = 40;
/** Large, since it is spent while the primary is killed. */
const LARGER_BUDGET = 120;
/** After this time an entry of the history has reached the sidecars, so that the next use asks no authority. */
const SETTLED_MS = 1_000;
/** Longest time until an end is enforced, under any single fault. */
const BOUND_MS = LEASE_SECONDS * 1_000 + 250;

type Tell = (step: Omit<Step, 'decision'>) => void;

const allowed: StoryOutcome = { status: 200, reason: null };
const completed: StoryOutcome = { status: 403, reason: 'task.completed' };
const enforced: StoryOutcome = { status: 200, reason: 'enforced' };
const budgetKept: StoryOutcome = { status: 200, reason: 'budget kept' };
const unavailable: StoryOutcome = { status: 503, reason: 'task.state-unavailable' };

/**
 * Plays the story of a fleet with real calls, and reports each step: an end that holds everywhere, a budget over all sidecars, and three
 * faults. Rejects if a part of it cannot be played.
 */
export async function playFleetStory(fleet: DevFleet, onStep: (step: Step) => void): Promise<readonly Step[]> {
  const steps: Step[] = [];
  const tell: Tell = (step) => {
    const whole = { ...step, decision: null };
    steps.push(whole);
    onStep(whole);
  };
  const first = await usedEverywhere(fleet, tell, 'authority 1 grants a task');
  await endEverywhere(fleet, tell, first);
  await budgetOfAll(fleet, tell);
  await primaryKilled(fleet, tell);
  await endStillHolds(fleet, tell, first);
  await authorityKilled(fleet, tell);
  await sidecarCutOff(fleet, tell);
  return steps;
}

async function usedEverywhere(fleet: DevFleet, tell: Tell, because: string): Promise<FleetTask> {
  const task = await declareTask(fleet, 1);
  for (const n of SIDECARS) {
    const seen = await useTokenPatiently(fleet, n, task);
    tell({ title: `the agent uses its task at sidecar ${n}`, expected: allowed, seen, because });
  }
  return task;
}

async function endEverywhere(fleet: DevFleet, tell: Tell, task: FleetTask): Promise<void> {
  const end = await completeTask(fleet, 2, task);
  tell({
    title: 'the agent completes it at authority 2',
    expected: enforced,
    seen: end.seen,
    because: `acknowledged after ${whole(end.ms)}: ${end.acknowledgement}`,
  });
  await refused(fleet, tell, { task, end, sidecars: SIDECARS });
}

/** Concurrent calls at sidecars, right after the acknowledgement of an end. */
async function refused(
  fleet: DevFleet,
  tell: Tell,
  {
    task,
    end,
    sidecars,
  }: { readonly task: FleetTask; readonly end: FleetEnd; readonly sidecars: readonly SidecarNumber[] },
): Promise<void> {
  const answers = await Promise.all(
    sidecars.map(async (n) => ({ n, seen: await useToken(fleet, n, task), atMs: performance.now() })),
  );
  for (const { n, seen, atMs } of answers) {
    const because = `the first call after the acknowledgement, answered ${whole(atMs - end.acknowledgedMs)} after it`;
    tell({ title: `the same token at sidecar ${n}`, expected: completed, seen, because });
  }
}

async function budgetOfAll(fleet: DevFleet, tell: Tell): Promise<void> {
  const task = await declareTask(fleet, 1, { max_calls: BUDGET });
  const beganMs = performance.now();
  const race = await spendBudget(fleet, SIDECARS, { task });
  tell({
    title: `a budget of ${BUDGET} calls is spent at three sidecars at once`,
    expected: budgetKept,
    seen: spent(race, BUDGET),
    because: `${spentText(race)} in ${whole(performance.now() - beganMs)}`,
  });
}

/** Whether a budget was spent to its last unit, and never over. */
function spent({ allowed, unanswered }: Race, budget: number): StoryOutcome {
  const isKept = allowed <= budget && allowed + unanswered >= budget;
  return { status: 200, reason: isKept ? budgetKept.reason : `budget of ${budget} not kept` };
}

const spentText = ({ allowed, unanswered }: Race): string =>
  `${allowed} calls allowed${unanswered === 0 ? ', and not one more,' : `, and ${unanswered} denied whose answer came too late,`}`;

async function primaryKilled(fleet: DevFleet, tell: Tell): Promise<void> {
  const task = await declareTask(fleet, 2, { max_calls: LARGER_BUDGET });
  let failedOver: ReturnType<DevFleet['failOver']> | null = null;
  const race = await spendBudget(fleet, SIDECARS, {
    task,
    onAllowed: (count) => {
      if (count === LARGER_BUDGET / 4) {
        failedOver = fleet.failOver('kill');
        failedOver.catch(() => undefined);
      }
    },
  });
  // A callback has set it, which the compiler does not see.
  const nodes = await (failedOver as ReturnType<DevFleet['failOver']> | null);
  tell({
    title: `the primary of the database is killed while a budget of ${LARGER_BUDGET} is spent`,
    expected: budgetKept,
    seen: nodes === null ? { status: 200, reason: 'the primary was not killed' } : spent(race, LARGER_BUDGET),
    because: `node ${nodes?.to ?? '?'} takes over from node ${nodes?.from ?? '?'}: ${whole(race.longestGapMs)} without an allowed call; ${spentText(race)} in all`,
  });
}

async function endStillHolds(fleet: DevFleet, tell: Tell, task: FleetTask): Promise<void> {
  tell({
    title: 'the task that ended before the failover, at sidecar 1',
    expected: completed,
    seen: await useTokenPatiently(fleet, 1, task),
    because: 'an acknowledged end is on a standby, and is not lost',
  });
}

async function authorityKilled(fleet: DevFleet, tell: Tell): Promise<void> {
  const task = await usedEverywhere(fleet, tell, 'before authority 1 is killed');
  await fleet.killAuthority(1);
  for (const n of SIDECARS)
    tell({
      title: `authority 1 is killed; the task at sidecar ${n}`,
      expected: allowed,
      seen: await useTokenPatiently(fleet, n, task),
      because: 'its lease goes on, and it follows authority 2',
    });
  const end = await completeTask(fleet, 2, task);
  tell({
    title: 'the agent completes it at authority 2',
    expected: enforced,
    seen: end.seen,
    because: `acknowledged after ${whole(end.ms)}: ${end.acknowledgement}`,
  });
  await refused(fleet, tell, { task, end, sidecars: SIDECARS });
}

async function sidecarCutOff(fleet: DevFleet, tell: Tell): Promise<void> {
  const task = await declareTask(fleet, 2);
  for (const n of SIDECARS) await useTokenPatiently(fleet, n, task);
  await new Promise((resolve) => setTimeout(resolve, SETTLED_MS));
  await useTokenPatiently(fleet, 3, task);
  fleet.cutOff();
  tell({
    title: 'sidecar 3 is cut off from all authorities; the task there',
    expected: allowed,
    seen: await useToken(fleet, 3, task),
    because: `it has a lease of ${LEASE_SECONDS} s`,
  });
  const end = await completeTask(fleet, 2, task);
  const isInTime = end.ms <= 2 * BOUND_MS;
  tell({
    title: 'the agent completes it at authority 2',
    expected: enforced,
    seen: isInTime ? end.seen : { ...end.seen, reason: 'enforced late' },
    because: `acknowledged after ${whole(end.ms)}: ${end.acknowledgement}`,
  });
  tell({
    title: 'the same token at sidecar 3',
    expected: unavailable,
    seen: await useToken(fleet, 3, task),
    because: 'its lease is over: it does not know what is true, and denies',
  });
  await refused(fleet, tell, { task, end, sidecars: [1, 2] });
  fleet.heal();
  tell({
    title: 'sidecar 3 is connected again',
    expected: completed,
    seen: await useTokenPatiently(fleet, 3, task),
    because: 'it was sent what it has missed',
  });
}

const whole = (ms: number): string => `${Math.ceil(ms).toLocaleString('en-US')} ms`;
