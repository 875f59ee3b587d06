/** The EU AI Act: its articles about records, oversight and deployers. */
import { control, type Framework } from '../framework.ts';

/**
 * The articles about records, oversight and deployers: the title of the article, then what the paragraph is about in its own words. A system of agents that is not of high risk has none of these duties; whether one is, an
 * assessor says.
 *
 * @see Regulation (EU) 2024/1689, OJ L, 2024/1689, 12 July 2024
 */
export const euAiAct: Framework = {
  id: 'eu-ai-act',
  title: 'EU AI Act: Articles 12, 14, 19 and 26',
  version: 'Regulation (EU) 2024/1689',
  source: 'Official Journal of the European Union, L, 2024/1689, 12 July 2024',
  controls: [
    control('Article 12(1)', 'Record-keeping: automatic recording of events (logs) over the lifetime of the system', {
      coverage: 'partial',
      classes: '2 3 4 5 8 11',
      limit: 'calls, tasks and tokens of agents alone; what a model reads, infers and answers is not recorded',
    }),
    control(
      'Article 12(2)(a)',
      'Record-keeping: events relevant for identifying situations that may result in a risk or in a substantial modification',
      {
        coverage: 'partial',
        classes: '4 6 7 10 11',
        limit: 'denials, misuse and changes of policy; changes of a model or of its prompts are not seen',
      },
    ),
    control('Article 12(2)(b)', 'Record-keeping: events relevant for facilitating the post-market monitoring', {
      coverage: 'partial',
      classes: '3 4 11',
      limit: 'the records are there; how they are used for monitoring is not seen',
    }),
    control('Article 12(2)(c)', 'Record-keeping: events relevant for monitoring the operation by deployers', {
      coverage: 'evidences',
      classes: '3 4 5 7 11',
      limit: 'the operation as far as it is calls through Envoy',
    }),
    control('Article 12(3)', 'Record-keeping: minimum logs of remote biometric identification systems', {
      coverage: 'none',
      limit: 'input data and reference databases are not recorded',
    }),
    control('Article 14(1)', 'Human oversight: effectively overseen by natural persons during the period of use', {
      coverage: 'partial',
      classes: '5 6',
      limit: 'shows that persons stopped tasks and put policies in force; not that they oversaw the rest',
    }),
    control('Article 14(2)', 'Human oversight: aim to prevent or minimise the risks', {
      coverage: 'none',
      limit: 'what oversight aims at is not recorded',
    }),
    control(
      'Article 14(3)',
      'Human oversight: measures commensurate with the risks, level of autonomy and context of use',
      {
        coverage: 'partial',
        classes: '3 4 6',
        limit: 'limits by the risk of an action; whether they are commensurate is for an assessor',
      },
    ),
    control(
      'Article 14(4)(a)',
      'Human oversight: to properly understand capacities and limitations and to duly monitor the operation',
      {
        coverage: 'partial',
        classes: '3 4 7 11',
        limit: 'records to monitor the operation by; who understood them is not recorded',
      },
    ),
    control('Article 14(4)(b)', 'Human oversight: to remain aware of automation bias', {
      coverage: 'none',
      limit: 'what a person is aware of is not recorded',
    }),
    control('Article 14(4)(c)', "Human oversight: to correctly interpret the system's output", {
      coverage: 'none',
      limit: 'outputs of a model are not seen',
    }),
    control(
      'Article 14(4)(d)',
      'Human oversight: to decide not to use the system, or to disregard, override or reverse its output',
      {
        coverage: 'partial',
        classes: '4 5',
        limit: 'calls denied and tasks ended; what was done already is not reversed',
      },
    ),
    control(
      'Article 14(4)(e)',
      "Human oversight: to intervene in the operation or to interrupt the system through a 'stop' button or a similar procedure",
      {
        coverage: 'enforces',
        classes: '4 5',
        limit: 'stops the calls of a task through Envoy, not the process of the agent',
      },
    ),
    control('Article 14(5)', 'Human oversight: verification by at least two natural persons', {
      coverage: 'none',
      limit: 'for remote biometric identification; results are not seen',
    }),
    control('Article 19(1)', 'Automatically generated logs: kept for at least six months', {
      coverage: 'partial',
      classes: '8',
      limit:
        'the records that are left, and by which retention others were deleted; the logs of other parts of the system are not here',
    }),
    control('Article 19(2)', 'Automatically generated logs: providers that are financial institutions', {
      coverage: 'none',
      limit: 'whether the logs are part of the documentation of a financial institution is not recorded',
    }),
    control(
      'Article 26(1)',
      'Obligations of deployers of high-risk AI systems: measures to use such systems in accordance with the instructions for use',
      {
        coverage: 'partial',
        classes: '3 4 6',
        limit: 'instructions that are policies of calls; no others',
      },
    ),
    control('Article 26(2)', 'Obligations of deployers of high-risk AI systems: assign human oversight', {
      coverage: 'partial',
      classes: '5',
      limit: 'shows who acted, not their competence, training and authority',
    }),
    control(
      'Article 26(4)',
      'Obligations of deployers of high-risk AI systems: relevant and representative input data',
      {
        coverage: 'none',
        limit: 'input data is not seen',
      },
    ),
    control(
      'Article 26(5)',
      'Obligations of deployers of high-risk AI systems: monitor the operation, inform, suspend the use',
      {
        coverage: 'partial',
        classes: '4 5 7 11',
        limit: 'what was found and which tasks were suspended; whom a deployer informed is not recorded',
      },
    ),
    control(
      'Article 26(6)',
      'Obligations of deployers of high-risk AI systems: keep the logs for at least six months',
      {
        coverage: 'partial',
        classes: '8',
        limit: 'the logs of calls that Remit made; those of the system itself are elsewhere',
      },
    ),
  ],
};
