// Package webhook is the frame of the admission webhooks: what all of them share,
// whatever they decide by.
//
// A room below it (webhook/quota) has one Decide for each path: from an admission
// request to an Answer, or to none where it has nothing to say. A room mounts its
// decisions in the process's one Frame, which serves them behind the secret prefix of
// the paths, gives each the time that the API server waits, and makes responses,
// metrics and logs of the answers. Request decoding and Access, which asks the API
// server what a requester may do, are here for every room.
//
// The frame knows no rule: of quota, of bursts, or of any other room.
package webhook
