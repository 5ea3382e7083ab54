
/* for the tests of the room graphql */


#ifndef GRAPHQL_COMMON_H_INCLUDED
#define GRAPHQL_COMMON_H_INCLUDED


#include "agg_test.h"
#include "agg_gql_schema.h"


#endif /* GRAPHQL_COMMON_H_INCLUDED */
