/** NIST AI Risk Management Framework 1.0. */
import { control, type Framework } from '../framework.ts';

/** @see NIST AI 100-1, Artificial Intelligence Risk Management Framework (AI RMF 1.0), January 2023 */
export const aiRmf: Framework = {
  id: 'ai-rmf',
  title: 'NIST AI Risk Management Framework',
  version: '1.0',
  source: 'NIST AI 100-1, January 2023',
  controls: [
    control(
      'GOVERN 1.4',
      'The risk management process and its outcomes are established through transparent policies, procedures, and other controls based on organizational risk priorities.',
      {
        coverage: 'partial',
        classes: '6',
        limit: 'policies of calls, with their texts; not the process that led to them',
      },
    ),
    control(
      'GOVERN 1.5',
      'Ongoing monitoring and periodic review of the risk management process and its outcomes are planned and organizational roles and responsibilities clearly defined, including determining the frequency of periodic review.',
      {
        coverage: 'partial',
        classes: '3 4 8',
        limit: 'a record for the review; whether one took place is not known here',
      },
    ),
    control(
      'GOVERN 1.6',
      'Mechanisms are in place to inventory AI systems and are resourced according to organizational risk priorities.',
      {
        coverage: 'partial',
        classes: '9',
        limit: 'agents that asked for a task, not every AI system',
      },
    ),
    control(
      'GOVERN 1.7',
      "Processes and procedures are in place for decommissioning and phasing out AI systems safely and in a manner that does not increase risks or decrease the organization's trustworthiness.",
      {
        coverage: 'partial',
        classes: '5',
        limit: 'the end of tasks and their credentials alone',
      },
    ),
    control(
      'GOVERN 2.1',
      'Roles and responsibilities and lines of communication related to mapping, measuring, and managing AI risks are documented and are clear to individuals and teams throughout the organization.',
      {
        coverage: 'partial',
        classes: '2 5',
        limit: 'on whose behalf an agent acted, and who acted on its tasks',
      },
    ),
    control(
      'GOVERN 3.2',
      'Policies and procedures are in place to define and differentiate roles and responsibilities for human-AI configurations and oversight of AI systems.',
      {
        coverage: 'partial',
        classes: '5 6',
        limit: 'acts of oversight on tasks alone',
      },
    ),
    control(
      'GOVERN 6.1',
      "Policies and procedures are in place that address AI risks associated with third-party entities, including risks of infringement of a third-party's intellectual property or other rights.",
      {
        coverage: 'partial',
        classes: '3 4 6',
        limit: 'which calls to third parties policies allowed; nothing of intellectual property',
      },
    ),
    control(
      'MAP 3.3',
      "Targeted application scope is specified and documented based on the system's capability, established context, and AI system categorization.",
      {
        coverage: 'evidences',
        classes: '2',
        limit: 'the scope of each task as declared and granted',
      },
    ),
    control(
      'MAP 3.5',
      'Processes for human oversight are defined, assessed, and documented in accordance with organizational policies from the GOVERN function.',
      {
        coverage: 'partial',
        classes: '5',
        limit: 'acts of oversight, not the process',
      },
    ),
    control(
      'MAP 4.2',
      'Internal risk controls for components of the AI system, including third-party AI technologies, are identified and documented.',
      {
        coverage: 'evidences',
        classes: '6',
        limit: 'the controls that policies and catalog express',
      },
    ),
    control(
      'MEASURE 2.4',
      'The functionality and behavior of the AI system and its components – as identified in the MAP function – are monitored when in production.',
      {
        coverage: 'evidences',
        classes: '3 4 11',
        limit: 'behavior as calls show it; what a model answers is not looked at',
      },
    ),
    control(
      'MEASURE 2.6',
      'The AI system is evaluated regularly for safety risks – as identified in the MAP function. The AI system to be deployed is demonstrated to be safe, its residual negative risk does not exceed the risk tolerance, and it can fail safely, particularly if made to operate beyond its knowledge limits. Safety metrics reflect system reliability and robustness, real-time monitoring, and response times for AI system failures.',
      {
        coverage: 'partial',
        classes: '10',
        limit: 'that checks failed closed; safety of the model is not evaluated',
      },
    ),
    control(
      'MEASURE 2.7',
      'AI system security and resilience – as identified in the MAP function – are evaluated and documented.',
      {
        coverage: 'evidences',
        classes: '4 7',
        limit: 'attempts that were seen at this Remit',
      },
    ),
    control(
      'MEASURE 2.8',
      'Risks associated with transparency and accountability – as identified in the MAP function – are examined and documented.',
      {
        coverage: 'evidences',
        classes: '3 8',
        limit: 'gives the record to examine; the examination is for people',
      },
    ),
    control(
      'MEASURE 3.1',
      'Approaches, personnel, and documentation are in place to regularly identify and track existing, unanticipated, and emergent AI risks based on factors such as intended and actual performance in deployed contexts.',
      {
        coverage: 'partial',
        classes: '4 7',
        limit: 'denials and misuse as signs of such risks',
      },
    ),
    control(
      'MANAGE 1.3',
      'Responses to the AI risks deemed high priority, as identified by the MAP function, are developed, planned, and documented. Risk response options can include mitigating, transferring, avoiding, or accepting.',
      {
        coverage: 'partial',
        classes: '6 5',
        limit: 'responses by policy and by ending tasks',
      },
    ),
    control(
      'MANAGE 2.3',
      'Procedures are followed to respond to and recover from a previously unknown risk when it is identified.',
      {
        coverage: 'partial',
        classes: '5',
        limit: 'that tasks were stopped; recovery is not known here',
      },
    ),
    control(
      'MANAGE 2.4',
      'Mechanisms are in place and applied, and responsibilities are assigned and understood, to supersede, disengage, or deactivate AI systems that demonstrate performance or outcomes inconsistent with intended use.',
      {
        coverage: 'enforces',
        classes: '5 4',
        limit: 'disengages an agent from what it calls through Envoy; the agent itself runs on',
      },
    ),
    control(
      'MANAGE 3.1',
      'AI risks and benefits from third-party resources are regularly monitored, and risk controls are applied and documented.',
      {
        coverage: 'partial',
        classes: '3 4',
        limit: 'calls to third parties alone',
      },
    ),
    control(
      'MANAGE 4.1',
      'Post-deployment AI system monitoring plans are implemented, including mechanisms for capturing and evaluating input from users and other relevant AI actors, appeal and override, decommissioning, incident response, recovery, and change management.',
      {
        coverage: 'partial',
        classes: '3 4 5',
        limit: 'monitoring, override and the end of tasks; not appeal, recovery or input of users',
      },
    ),
    control(
      'MANAGE 4.3',
      'Incidents and errors are communicated to relevant AI actors, including affected communities. Processes for tracking, responding to, and recovering from incidents and errors are followed and documented.',
      {
        coverage: 'partial',
        classes: '7',
        limit: 'tracks misuse; who was told is not known here',
      },
    ),
  ],
};
