/** The feed's types as the console calls them; `wire.ts` has them as they are on the wire, made from its document. */
import type * as wire from './wire'

export type { Condition, Handling, PauseReason, Severity, Text } from './wire'
export type Scalar = wire.EvidenceJson['value']
export type Evidence = wire.EvidenceJson
export type Why = wire.WhyJson
export type Checklist = wire.ChecklistJson
export type Incident = wire.IncidentJson
export type DeviceState = wire.EntityState
/** What a version of the register of devices changes of the one before. */
export type DeviceChanges = Omit<wire.Devices, 'type'>
export type Change = wire.ChangeEvent
export type Delays = wire.Delays
export type BBox = NonNullable<wire.View['bbox']>
export type Position = wire.Resume
export type ServerFrame = wire.ServerFrame
export type ClientFrame = wire.ClientFrame
