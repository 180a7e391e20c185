import { assert } from './result.ts'

// Every bound of the system, in one place. Units then bound close each name; times are what the unit says.

const KiB = 1024
const MiB = 1024 * KiB
const daySeconds = 86_400

// A batch.
export const batchRecordsMax = 1_000
export const batchBytesMax = 1 * MiB
export const batchCompressedBytesMax = 1 * MiB
export const runningMax = 1_000
export const piecesMax = 1_000

// A request in OpenTelemetry's protocol, which is split into batches inside.
export const otlpRecordsMax = 10_000
export const otlpBytesMax = 4 * MiB
export const otlpRulesMax = 100
export const otlpReasonsMax = 4

// What `telltale export` asks for and sends at once.
export const exportTracesAsked = 100
export const exportRequestRecordsMax = 1_000
export const exportRequestBytesMax = 1 * MiB
export const exportAttemptsMax = 8
export const exportSendMsMax = 30_000

// A value inside a record. Text longer than its limit is cut and marked; a malformed id is refused.
export const nameBytesMax = 256
export const idBytesMax = 256
export const messageBytesMax = 8 * KiB
export const stackBytesMax = 64 * KiB
export const attributesMax = 64
export const attributeKeyBytesMax = 128
export const attributeBytesMax = 4 * KiB
export const attributesBytesMax = 16 * KiB
export const jsonDepthMax = 8
export const parseDepthMax = 500
export const labelsMax = 16
export const reasonBytesMax = 256
export const droppedReasonsMax = 32
export const integerMax = Number.MAX_SAFE_INTEGER

// A stack trace, as far as it names the group of its error.
export const stackLineCharactersMax = 2_048
export const stackCausesMax = 16
export const fingerprintFramesMax = 64
export const fingerprintCodesMax = 4
export const fingerprintMessageCharactersMax = 1_024

// Names admitted into windows, per source; what comes after is `other`.
export const layersMax = 16
export const toolsMax = 64
export const providersMax = 16
export const modelsMax = 32
export const connectionsMax = 16
export const cachesMax = 16
export const callNumbersNamed = 5

// A trace.
export const traceSpansMax = 10_000
export const traceHoursMax = 24

// Ages.
export const recordAgeDaysMax = 29
export const recordAheadDaysMax = 1
export const batchAgeDaysMax = 15
export const outboxAgeDaysMax = 14
export const batchIdDaysKept = 30
export const detailDaysKept = 30
export const minuteDaysKept = 30
export const hourDaysKept = 400
export const processDaysKept = 60
export const interruptedSecondsMin = 60
export const flushesUnrenewedMax = 4
export const partitionDaysAhead = 3

// Pace.
export const embeddedFlushMs = 250
export const hostedFlushMs = 15_000
export const watchedFlushMs = 1_000
export const renewalMsMin = 2_000
export const turnMsMax = 2_000
// People who look wait rather than be refused; reporters come again by themselves.
export const viewerTurnMsMax = 6_000
export const retryAfterSeconds = 2
export const keyCacheMs = 15_000
export const keyCacheEntriesMax = 1_000
export const storeSlackMs = 1_000
export const bodyMsMax = 10_000
export const ingestsInFlightMax = 256
export const ingestsAtOnceMax = 16 // The others wait: half of what is begun beyond what Postgres can take ends in a timeout.
export const ingestWaitMsMax = 1_000
export const tickMsMax = 20_000
export const tickLeaseSeconds = 120

// A snapshot of the live view, and the readers of metrics.
export const liveProcessesMax = 100
export const liveMinutesMax = 60
export const livesInFlightMax = 256
export const knownCallersMax = 256
export const knownCallerMs = 60_000
export const seriesPointsMax = 1_500
export const seriesPointsWanted = 120

// Sampling: how long after a trace was last touched it is decided whether it keeps its spans.
export const sampledAfterSeconds = 300
export const sampledAtOnceMax = 500
export const pinnedTracesMax = 10_000

// Comparing two stretches of time, and trends.
export const comparedKeysMax = 32
export const trendPointsMax = 400
export const noiseShare = 0.05 // Of answers in which nothing differs, as many name a difference.
// The detector of anomalies.
export const tailBinsMax = 32
export const seasonBins = 48
export const trainingPoints = 40
export const abnormalPointsMax = 120 // In a row: what lasts for two hours is how it is now.
export const trainingSecondsMax = 0.15 * daySeconds
export const detectorStateBytesMax = 4 * KiB
export const detectorSeriesMax = 180 // Of a service in an environment, the busiest first.
export const detectorGaugesMax = 60
export const detectorMinutesMax = 60 // Learned at once.
export const detectorLateSeconds = 120 // What comes later for a minute changes nothing that was learned from it.
export const detectorPaceSeconds = 300 // How often what happened is learned: states are large, so not every minute.
export const anomalyScoreMin = 0.95 // One in 8,000, by what the series was like.
export const anomalyAlertScore = 0.975 // One in 60,000: worth waking somebody.
export const anomalyQuietSeconds = 120
export const anomalySilentSeconds = 300
export const incidentGapSeconds = 180

// The hot tier and the push.
export const hotBatchBytesMax = 16 * KiB
export const hotRunningMax = 100
export const hotEndedMax = 50
export const hotErrorsMax = 20
export const hotMessageCharactersMax = 1_024
export const hotTracebackCharactersMax = 4_096
export const hotStaleMinutesMax = 60
export const hotSecondsKept = 3_600
export const hotBatchesMax = 4_000
export const hotBatchesReadMax = 500
export const hotReadsMax = 8
export const snapshotBatchesMax = 100
export const finishedSecondsMax = 600
export const lateSecondsMax = 5
export const aheadSecondsMax = 60
export const liveSecondsShown = 60
export const liveStateBytesMax = 1 * MiB
export const pushBytesMax = 256 * 1_000 - 4 * KiB // The channel's bound is on the whole message.
export const pushMsMin = 250
export const hostedPushMs = 1_000
export const errorPushMs = 500
export const redisMsMax = 1_000
export const broadcastMsMax = 2_000
export const hotBreakMs = 3_000
export const hotWritesInFlightMax = 256

// Reading.
export const pageRowsMax = 1_000
export const postgrestRowsMax = 1_000

// A verdict, and the MCP server that agents ask.
export const whyBodyBytesMax = 16 * KiB
export const mcpBodyBytesMax = 256 * KiB
export const mcpRowsAsked = 10
export const mcpRowsMax = 50
export const mcpSpansMax = 100
export const mcpTextCharactersMax = 600
export const mcpAnswerCharactersMax = 48 * KiB

// The lens, which reads single traces and spans: beyond these it reads a sample, and says so.
export const lensTracesMax = 10_000
export const lensSpansMax = 50_000
export const treeTracesMax = 3_000
export const treeSpansMax = 20_000
export const treeNodesMax = 300
export const treeDepthMax = 12
export const callNumbersMax = 50
export const holdersListedMax = 200
export const heatColumnsMax = 60
export const heatNamesMax = 24
// Error groups: what is told of one, and what may be said of it.
export const errorCountsWanted = 48
export const groupNamesMax = 10
export const groupErrorsLookedAt = 1_000
export const olderVersionsMax = 100
export const ignoredErrorsMax = 1_000_000

// The dashboard's lists and its waterfall: what is in the page at once.
export const traceRowsListedMax = 1_000
export const traceRowsAsked = 50
export const errorRowsListedMax = 500
export const errorRowsAsked = 50
export const occurrencesAsked = 10
export const sessionRowsListedMax = 500
export const sessionRowsAsked = 50
export const sessionCallsListedMax = 1_000
export const sessionCallsAsked = 100
export const alertRowsListedMax = 500
export const alertRowsAsked = 50
export const alertReadMs = 30_000
export const waterfallRowsDrawnMax = 160
export const waterfallShapesMax = 500

// Alerts. Of few calls nothing is concluded; what nobody looked at for a while did not hold meanwhile.
export const alertExceedingMin = 5
export const alertEvidenceNatsMin = 16 // One stretch in ten million by chance.
export const alertBaselineCountMin = 50
export const alertLookGapSeconds = 300
export const alertRefreshSeconds = 30
export const alertAfterSeconds = 300
export const alertOpenMax = 500
export const alertSeriesListedMax = 10
export const alertsPushedMax = 50
export const alertRulesMax = 200
/** Why an alert fires is asked so often, so many seconds apart, of at most so many calls. */
export const verdictTriesMax = 4
export const verdictGapSeconds = 30
export const verdictTracesMax = 1_500
export const alertReplayHoursMax = 168
export const alertChunkHoursMax = 6
/** Within it alerts of one topic and service are told of as one. */
export const alertGroupSeconds: { readonly [topic: string]: number } = {
  latency: 600,
  errors: 120,
  traffic: 600,
  unusual: 600,
  data: 600,
  permits: 600,
  stuck: 600,
  resource: 600,
}

// Telling people. A notification is tried for a day.
export const notificationsAtOnce = 20
export const notificationMsMax = 8_000
export const notificationLeaseSeconds = 60
export const notificationDaySeconds = daySeconds
export const notificationRetryBaseMs = 5_000
export const notificationRetryMsMax = 3_600_000
export const notificationRedirectsMax = 3
export const destinationsMax = 50
export const destinationReplyBytesMax = 64 * KiB

// The reporter, a guest in its host.
export const outboxBytesMax = 8 * MiB
export const outboxRecordsMax = 50_000
// Its outbox on the disk: what is the same in every reporter that shares a directory.
export const segmentBytesMax = 4 * MiB
export const spillBytesMax = 64 * MiB // Of one destination, all its processes together.
export const segmentBeatMs = 10_000
export const orphanMsMin = 60_000
export const orphanLookMs = 30_000
export const exitSpillMsMax = 1_000
export const sliceMsMax = 0.25
export const selfMetricMs = 60_000
export const reporterBatchRecordsMax = 500
export const exitFlushMsMax = 2_000
export const retryBaseMs = 250
export const retryMsMax = 30_000
export const tapFrameBytesMax = 32 * MiB
export const openCallsMax = 10_000
export const sessionsCountedMax = 10_000
export const quietFlushMs = 50
export const errorGapMs = 100
export const sendMsMax = 10_000
export const replyBytesMax = 1 * MiB
export const gzipBytesMin = 1 * KiB
export const refusedKeyRetryMs = 60_000
export const retryAfterMsMax = 300_000
export const circuitFailuresMin = 5
export const causesMax = 8
export const thrownValuesMax = 500
export const tapExitFlushMsMax = 1_000
export const stderrTailBytesMax = 16 * KiB
export const argumentNamesMax = 32

// What a host waits for: the shortest wait that is told of, holders that are known, and gauges.
export const waitMsMin = 1
export const leasesMax = 10_000
export const gaugeMsMin = 1_000
export const gaugePaceMs = 15_000

// The MCP taps, stdio and HTTP.
export const heldLineBytesMax = 1 * MiB // Of a line that has not ended, before its start is sent on.
export const heldLineMsMax = 100
export const hashedBytesMax = 256 * KiB
export const faultGapMs = 60_000
export const unansweredMsMin = 60_000
export const interruptedErrorsMax = 100
export const goneIdsMax = 1_000
export const tapSessionsMax = 10_000
export const tapConnectMsMax = 10_000
export const tapIdleMsMax = 2_000 // Of a connection to the server; servers close theirs after 5 s.
export const tapHeadersBytesMax = 64 * KiB
export const contentRulesMax = 256

// Servers that are instrumented: the members of a message that are looked at to tell its size.
export const sizedMembersMax = 10_000

// The tap of WebSockets.
export const webSocketMessageBytesMax = 64 * MiB // Twice what the daemon takes: what it refuses, it refuses itself.
export const webSocketUnsentBytesMax = 1 * MiB // Past it, whoever sends is read no further until the other side has read.
export const webSocketDialMsMax = 60_000
export const webSocketCloseMsMax = 60_000
export const tapCloseMsMax = 1_000
export const connectionGaugeMs = 250

// Importing log files. The open calls of a log are bounded as those of a tap.
export const importLinesAtOnce = 4_000
export const importBatchesAtOnce = 4
export const importFileBytesMax = 32 * MiB // A line, or a file that is one.

// The embedded Postgres.
export const idleInTransactionMsMax = 2_000
export const statementMsMax = 30_000
export const socketClientsMax = 64
export const socketStartupMsMax = 10_000
export const socketTransactionMsMax = 30_000 // While others wait.
export const socketBatchBytesMax = 64 * MiB
export const resultBytesMax = 256 * MiB
export const unreadResultBytesMax = 4 * MiB
export const preparedStatementsMax = 1_000
export const preparedStatementBytesMax = 4 * MiB

// The embedded gateway.
export const restBodyBytesMax = 16 * MiB
export const restDepthMax = 1_000
export const headersBytesMax = 32 * KiB
export const headersMsMax = 10_000
export const requestMsMax = 60_000
export const keepAliveMs = 30_000
export const closeMsMax = 3_000
export const embeddedTickMs = 5_000
export const maintenanceMs = 60_000
export const catalogueReloadMsMin = 1_000
export const jwtSkewSecondsMax = 30

// The embedded Auth.
export const authBodyBytesMax = 64 * KiB
export const authDepthMax = 16
export const emailBytesMax = 255
export const passwordCharactersMin = 8
export const passwordBytesMax = 72 // As at Supabase, which hashes no more of it.
export const metadataBytesMax = 4 * KiB // In every token, twice.
export const userAgentCharactersMax = 256
export const accessTokenSeconds = 3_600
export const refreshReuseSeconds = 10
export const signInCodeSeconds = 600
export const sessionsPerUserMax = 100
export const sessionDaysUnused = 90
export const usersPageMax = 1_000
export const hashesAtOnceMax = 2
export const hashesWaitingMax = 256
export const attemptSeconds = 300
export const attemptsPerAddressMax = 20
export const attemptsTotalMax = 200
export const attemptAddressesMax = 256

// The dashboard. A page counts as watching for a minute after each snapshot that it asks for.
export const liveSecondsKept = 75
export const liveEndedMax = 100
export const liveErrorsMax = 50
export const liveStaleMinutesMax = 60
export const liveFreshMsMax = 5_000
export const liveQuietMs = 4_000
export const liveBeatMs = 15_000
export const sleepMsMin = 30_000
export const liveRetryMsMin = 500
export const liveRetryMsMax = 8_000
export const snapshotMsMax = 10_000

// The embedded Realtime. A message as in Supabase's free plan, so that what passes here passes there.
export const broadcastBytesMax = 256_000
export const realtimeFrameBytesMax = 512 * KiB
export const broadcastBodyBytesMax = 4 * MiB
export const broadcastBatchMax = 100
export const presenceBytesMax = 4 * KiB // What one client says of itself: everybody who joins is sent what all say.
export const realtimeConnectionsMax = 1_000
export const connectionChannelsMax = 100
export const broadcastsPerSecondMax = 100 // Of one connection; past it the channel is closed.
export const framesPerSecondMax = 1_000 // Of one connection; past it the connection is closed.
export const unsentBytesMax = 4 * MiB
export const unreadFramesBytesMax = 1 * MiB
export const heartbeatMsMax = 60_000
export const rightsAtOnceMax = 4
export const rightsWaitingMax = 10_000
export const rightsMsMax = 180_000

// The embedded Redis. Bytes are those of keys and values with a fixed charge for each of them, as on Upstash's free plan.
export const redisBytesMax = 256 * MiB
export const redisKeysMax = 100_000
export const redisBodyBytesMax = 10 * MiB
export const redisCommandsMax = 10_000
export const redisReplyBytesMax = 64 * MiB
export const redisSweepMs = 1_000
export const redisSweepKeysMax = 10_000

// How the bounds relate. A change that breaks one of these would lose or corrupt something far away.
assert(outboxAgeDaysMax < batchAgeDaysMax, 'an outbox gives a batch up before the edge would refuse it')
assert(batchAgeDaysMax < batchIdDaysKept, 'a batch id outlives every retry of its batch')
assert(recordAgeDaysMax < detailDaysKept, 'a record that is taken has a partition that is kept')
assert(detailDaysKept <= processDaysKept, 'the process of a stored span is still known')
assert(minuteDaysKept < hourDaysKept, 'hours outlive the minutes that they are made of')
assert(detailDaysKept <= minuteDaysKept, 'every trace that can be read lies in a minute that can be read')
assert(recordAheadDaysMax < partitionDaysAhead, 'a record from tomorrow finds its partition')
assert(messageBytesMax + stackBytesMax + attributesBytesMax < batchBytesMax, 'the largest error fits into a batch')
assert(reporterBatchRecordsMax <= batchRecordsMax, 'a reporter never makes a batch that the edge refuses')
assert(exportRequestRecordsMax <= otlpRecordsMax && exportRequestBytesMax < otlpBytesMax, 'an export is taken')
assert(batchRecordsMax < otlpRecordsMax && batchBytesMax < otlpBytesMax, 'what a batch may hold OTLP may hold too')
assert(batchBytesMax < outboxBytesMax, 'an outbox holds at least one full batch')
assert(batchBytesMax < segmentBytesMax && segmentBytesMax * 8 <= spillBytesMax, 'a full disk loses a small part')
assert(segmentBeatMs * 4 < orphanMsMin, 'a segment of a living process is no orphan')
assert(jsonDepthMax < parseDepthMax, 'a record of full depth can be parsed inside its batch')
assert(attributeBytesMax <= attributesBytesMax, 'one attribute of full length fits among the attributes')
assert(embeddedFlushMs <= watchedFlushMs && watchedFlushMs <= hostedFlushMs, 'watching never slows the pace')
assert(hostedFlushMs * flushesUnrenewedMax <= interruptedSecondsMin * 1_000, 'a process at its slowest pace is alive')
assert(
  tickMsMax + statementMsMax + storeSlackMs < tickLeaseSeconds * 1_000,
  'a step begun in time ends within the lease',
)
assert(ingestsAtOnceMax < ingestsInFlightMax, 'a burst waits before it is turned away')
assert(
  ingestWaitMsMax + turnMsMax + storeSlackMs < sendMsMax,
  'a reporter waits for its answer longer than the edge does for a turn',
)
assert(renewalMsMin * flushesUnrenewedMax < interruptedSecondsMin * 1_000, 'a process that only renews is alive')
assert(watchedFlushMs + retryBaseMs < lateSecondsMax * 1_000, 'a watched batch comes before its seconds close')
assert(embeddedFlushMs <= pushMsMin && pushMsMin <= hostedPushMs, 'a push has something new to say')
assert(hostedPushMs <= watchedFlushMs, 'what a watched reporter sends is pushed before it sends again')
assert(hotBatchBytesMax * 8 < pushBytesMax && pushBytesMax < liveStateBytesMax, 'a push holds several batches whole')
assert(lateSecondsMax < liveSecondsShown && liveSecondsShown < finishedSecondsMax, 'what is shown is kept')
assert(liveMinutesMax * 60 <= hotSecondsKept, 'the minutes of a snapshot reach back no further than what is hot')
assert(groupNamesMax < groupErrorsLookedAt, 'the errors that are looked at could name as many as are named')
assert(seriesPointsWanted <= seriesPointsMax, 'a series whose step is chosen is never refused for its length')
assert(seriesPointsWanted <= trendPointsMax && trendPointsMax <= seriesPointsMax, 'a trend of a chosen step is told')
assert(trainingPoints * 300 <= trainingSecondsMax, 'a series with a point every five minutes is learned in time')
assert(anomalyScoreMin < anomalyAlertScore && anomalyAlertScore < 1, 'what is worth an alert is an anomaly')
assert(detectorPaceSeconds <= detectorMinutesMax * 60, 'the detector learns faster than time passes')
assert(detectorLateSeconds < anomalySilentSeconds, 'an anomaly outlasts the minutes that are not learned yet')
assert(interruptedSecondsMin < sampledAfterSeconds, 'a call is concluded before its spans are let go')
assert(finishedSecondsMax <= hotSecondsKept, 'a finished second that is kept has not expired')
assert(hotBatchesReadMax * hotReadsMax <= hotBatchesMax, 'what one turn reads is still in the stream')
assert(nameBytesMax * 6 * 5 + hotStaleMinutesMax * 16 < hotBatchBytesMax, 'names alone fit, however they are escaped')
assert(idleInTransactionMsMax <= turnMsMax, 'a psql that holds the session delays ingest by one turn at most')
assert(statementMsMax <= socketTransactionMsMax, 'one statement that is allowed never ends its transaction')
assert(batchBytesMax < resultBytesMax && unreadResultBytesMax < resultBytesMax, 'a result may be as large as a batch')
assert(traceHoursMax * 3_600 <= daySeconds, 'time filters that widen by a day find every trace')
assert(retryBaseMs < retryMsMax, 'backoff grows')
assert(batchBytesMax * 8 <= restBodyBytesMax, 'what the edge derives from a full batch passes the gateway')
assert(parseDepthMax < restDepthMax, 'what the edge derives from a batch of full depth passes the gateway')
assert(turnMsMax < viewerTurnMsMax, 'who looks waits at least as long as who reports')
assert(viewerTurnMsMax + storeSlackMs < snapshotMsMax, 'a page waits until its snapshot is given up by the edge')
assert(statementMsMax < requestMsMax, 'a statement ends before its request is given up')
assert(traceSpansMax < treeSpansMax && treeSpansMax <= lensSpansMax, 'the largest trace can be read among others')
assert(treeTracesMax <= lensTracesMax, 'a tree, which takes every span apart, is of fewer traces')
assert(callNumbersNamed <= callNumbersMax, 'the lens can tell apart what windows tell apart')
assert(heatNamesMax < heatColumnsMax, 'names need more room than times')
assert(traceRowsAsked <= pageRowsMax && traceRowsAsked < traceRowsListedMax, 'a list grows by pages that can be read')
assert(errorRowsAsked <= pageRowsMax && errorRowsAsked < errorRowsListedMax, 'so does a list of errors')
assert(alertRowsAsked <= pageRowsMax && alertRowsAsked < alertRowsListedMax, 'so does a list of alerts')
assert(occurrencesAsked < errorRowsListedMax, 'and that of one group')
assert(sessionRowsAsked < sessionRowsListedMax && sessionRowsAsked <= pageRowsMax, 'and those of sessions')
assert(sessionCallsAsked < sessionCallsListedMax && sessionCallsAsked <= pageRowsMax, 'and of the calls of one')
assert(waterfallRowsDrawnMax < traceSpansMax, 'a waterfall of all spans is drawn in part')
assert(headersMsMax <= requestMsMax, 'headers arrive within their request')
assert(quietFlushMs < embeddedFlushMs && errorGapMs < embeddedFlushMs, 'what is urgent is sent before what is not')
assert(gaugeMsMin <= gaugePaceMs && waitMsMin < quietFlushMs, 'a wait that lasts is told of while it does')
assert(stderrTailBytesMax <= stackBytesMax, 'what a dying server said fits into the traceback of its error')
assert(heldLineBytesMax < tapFrameBytesMax, 'a line that flows before its end can still be read')
assert(hashedBytesMax <= heldLineBytesMax, 'arguments that are hashed came in a line that was whole')
assert(tapFrameBytesMax < webSocketMessageBytesMax, 'a message that can be read can pass')
assert(tapExitFlushMsMax <= exitFlushMsMax, 'a tap holds its client up no longer than a reporter its host')
assert(metadataBytesMax * 4 < headersBytesMax, 'a token with all the metadata there can be passes the gateway')
assert(metadataBytesMax * 2 < authBodyBytesMax, 'all the metadata there can be fits into one request')
assert(attemptsTotalMax <= attemptAddressesMax, 'no address whose failures count is forgotten within its window')
assert(accessTokenSeconds < sessionDaysUnused * daySeconds, 'a session outlives the tokens that it gave')
assert(liveBeatMs < knownCallerMs, 'a page that goes on looking is known')
assert(liveQuietMs < liveFreshMsMax, 'a page that hears nothing asks before it stops calling itself live')
assert(liveBeatMs < sleepMsMin, 'a page that was asleep is one that missed a beat')
assert(liveSecondsKept >= 60 + liveFreshMsMax / 1_000, 'the seconds reach back over the last minute')
assert(broadcastBytesMax < realtimeFrameBytesMax, 'the largest broadcast fits into a frame with its names')
assert(presenceBytesMax * realtimeConnectionsMax <= unsentBytesMax, 'who is there can be told to whoever joins')
assert(broadcastBytesMax < broadcastBodyBytesMax, 'the largest broadcast fits into a request')
assert(realtimeFrameBytesMax < unsentBytesMax, 'one frame alone makes no consumer slow')
assert(realtimeConnectionsMax < rightsWaitingMax, 'every page may join again at once')
assert(connectionChannelsMax < framesPerSecondMax, 'a client may join all of its channels again at once')
assert(redisBodyBytesMax < redisReplyBytesMax, 'a value that one command could write can be read')
assert(redisReplyBytesMax < redisBytesMax, 'a reply is smaller than what is kept')
assert(redisSweepKeysMax * 10 >= redisKeysMax, 'every key that expired is gone within ten sweeps')
assert(
  verdictTriesMax * verdictGapSeconds <= alertAfterSeconds,
  'why is asked while what began the alert is what is slow',
)
assert(alertsPushedMax <= alertOpenMax && alertOpenMax <= pageRowsMax, 'every open alert can be read')
assert(embeddedTickMs < alertLookGapSeconds * 1_000, 'a pass that comes in time looks at what the last one saw')
assert(alertRefreshSeconds * 2 < alertLookGapSeconds, 'an alert that stays as it is counts as looked at')
assert(notificationMsMax * 2 < notificationLeaseSeconds * 1_000, 'what is sent is done before another may send it')
assert(notificationRetryBaseMs < notificationRetryMsMax, 'the pauses between attempts grow')
assert(notificationRetryMsMax * 12 < notificationDaySeconds * 1_000, 'a day holds many attempts')
assert(
  alertChunkHoursMax < alertReplayHoursMax && alertReplayHoursMax <= minuteDaysKept * 24,
  'a replay reads what is kept',
)
