
/*
 * The test of replays for the blocks without SSE2.
 * sources: shape/agg_shape.c shape/agg_state.c shape/agg_run.c
 * sources: shape/agg_members.c shape/agg_name.c shape/agg_keep.c
 * sources: shape/agg_place.c shape/agg_replay.c
 * sources: json/agg_path.c json/agg_json.c json/agg_write.c
 */


#define AGG_NO_SSE2
#define TEST_NAME  "shape_replay_words"

#include "agg_scan.c"
#include "shape_replay.c"
