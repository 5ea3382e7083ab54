# The codec of gRPC by protobuf's conformance cases for JSON, the required and
# the recommended ones, under their names, with fields of our own schema; and
# cases of bytes, query parameters and status details.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";
use IPC::Open2;
use JSON::PP;
use MIME::Base64;
use Test::More;

binmode Test::More->builder->$_, ':utf8'
    for qw(output failure_output todo_output);

my $dir = $FindBin::Bin;

chomp(my $tool = qx{"$dir/../build.sh" tool grpc_codec_tool});
die "no grpc_codec_tool\n" if $?;

my $pid = open2(my $out, my $in, $tool);

my $set = do {
    open my $file, '<:raw', "$dir/data/grpc/kinds.pb" or die "kinds.pb: $!\n";
    local $/;
    <$file>;
};

my $json = JSON::PP->new->canonical->allow_nonref->allow_bignum;

send_line('set', $set);
print $in "load\n";
is(scalar <$out>, "ok\n", 'the schema loads');


# what is read comes back as the same, as another text, or is refused

my @same = (
    FieldNameInSnakeCase => '{"fieldname1":1,"fieldName2":2,"FieldName3":3,'
        . '"fieldName4":4}',
    FieldNameWithNumbers => '{"field0name5":5,"field0Name6":6}',
    FieldNameWithMixedCases => '{"fieldName7":7,"FieldName8":8,"fieldName9":9,'
        . '"FieldName10":10,"FIELDNAME11":11}',
    Int32FieldMaxValue => '{"fInt32":2147483647}',
    Int32FieldMinValue => '{"fInt32":-2147483648}',
    Uint32FieldMaxValue => '{"fUint32":4294967295}',
    Int64FieldMaxValue => '{"fInt64":"9223372036854775807"}',
    Int64FieldMinValue => '{"fInt64":"-9223372036854775808"}',
    Uint64FieldMaxValue => '{"fUint64":"18446744073709551615"}',
    Sint64 => '{"fSint64":"-9223372036854775808"}',
    Fixed64 => '{"fFixed64":"18446744073709551615","fSfixed64":"-1"}',
    Fixed32 => '{"fSint32":-5,"fFixed32":4294967295,"fSfixed32":-1}',
    BoolFieldTrue => '{"fBool":true}',
    FloatFieldNan => '{"fFloat":"NaN"}',
    FloatFieldInfinity => '{"fFloat":"Infinity"}',
    FloatFieldNegativeInfinity => '{"fFloat":"-Infinity"}',
    FloatShortest => '{"fFloat":1.1}',
    FloatMax => '{"fFloat":3.4028235e+38}',
    FloatLeast => '{"fFloat":1e-45}',
    DoubleFieldNan => '{"fDouble":"NaN"}',
    DoubleFieldInfinity => '{"fDouble":"Infinity"}',
    DoubleFieldNegativeInfinity => '{"fDouble":"-Infinity"}',
    DoubleShortest => '{"fDouble":0.30000000000000004}',
    DoubleMax => '{"fDouble":1.7976931348623157e+308}',
    DoubleLeast => '{"fDouble":5e-324}',
    DoubleNegativeZero => '{"fDouble":-0}',
    EnumField => '{"fColor":"RED"}',
    EnumFieldUnknownValue => '{"fColor":123}',
    EnumFieldNegative => '{"fColor":"BELOW"}',
    StringField => '{"fString":"Hello world!"}',
    StringFieldUnicode => '{"fString":"谷歌"}',
    StringFieldNul => '{"fString":"a\u0000b"}',
    StringFieldControls => '{"fString":"\"\\\\/\b\f\n\r\t\u0001\u001f"}',
    BytesField => '{"fBytes":"AQI="}',
    MessageField => '{"fInner":{"a":1234}}',
    OneofZeroUint32 => '{"cInt32":0}',
    OneofZeroMessage => '{"cInner":{}}',
    OneofZeroString => '{"cString":""}',
    OneofZeroBool => '{"cBool":false}',
    OneofZeroEnum => '{"cColor":"COLOR_NONE"}',
    OneofNull => '{"cNull":null}',
    OneofWrapper => '{"cWrapper":"0"}',
    OneofValueNull => '{"cValue":null}',
    OptionalZero => '{"oInt32":0,"oString":"","oDouble":0,'
        . '"oColor":"COLOR_NONE","oBytes":""}',
    Int32MapField => '{"mInt32":{"1":2,"3":4}}',
    Uint32MapField => '{"mUint32":{"1":true,"3":false}}',
    Int64MapField => '{"mInt64":{"-1":"a"}}',
    Uint64MapField => '{"mUint64":{"18446744073709551615":0.5}}',
    BoolMapField => '{"mBool":{"true":1,"false":0}}',
    EnumMapField => '{"mFixed32":{"1":"RED"}}',
    MessageMapField => '{"mString":{"hello":{"a":1234},"":{},"world":{}}}',
    MapOfTimestamps => '{"mTime":{"a":"2024-02-29T23:59:59Z"}}',
    MapOfValues => '{"mSfixed64":{"1":null,"2":[],"3":{"a":"b"}}}',
    PrimitiveRepeatedField => '{"rInt32":[1,2,3,4]}',
    EnumRepeatedField => '{"rColor":["RED","GREEN","FAR",7]}',
    StringRepeatedField => '{"rString":["Hello","","world"]}',
    BytesRepeatedField => '{"rBytes":["AAEC","AQI="]}',
    MessageRepeatedField => '{"rInner":[{"a":1234},{},{"a":5678}]}',
    UnpackedRepeatedField => '{"uInt32":[1,2],"uDouble":[0,1.5]}',
    WrapperZeros => '{"wDouble":0,"wFloat":0,"wInt64":"0","wUint64":"0",'
        . '"wInt32":0,"wUint32":0,"wBool":false,"wString":"","wBytes":""}',
    WrapperValues => '{"wDouble":1.5,"wFloat":1.5,"wInt64":"1","wUint64":"1",'
        . '"wInt32":1,"wUint32":1,"wBool":true,"wString":"1","wBytes":"AQI="}',
    RepeatedWrappers => '{"rwInt64":["0","1"],"rwString":["","AQI="]}',
    DurationNegativeNanos => '{"wDuration":"-0.500s"}',
    TimestampMinValue => '{"wTimestamp":"0001-01-01T00:00:00Z"}',
    TimestampMaxValue => '{"wTimestamp":"9999-12-31T23:59:59.999999999Z"}',
    TimestampLeapDay => '{"wTimestamp":"2000-02-29T00:00:00Z"}',
    FieldMask => '{"wMask":"foo,barBaz"}',
    EmptyFieldMask => '{"wMask":""}',
    Struct => '{"wStruct":{"nullValue":null,"intValue":1234,"boolValue":true,'
        . '"doubleValue":1234.5678,"stringValue":"Hello world!",'
        . '"listValue":[1234,"5678"],"objectValue":{"value":0}}}',
    StructWithEmptyListValue => '{"wStruct":{"listValue":[]}}',
    ValueAcceptInteger => '{"wValue":1}',
    ValueAcceptFloat => '{"wValue":1.5}',
    ValueAcceptBool => '{"wValue":false}',
    ValueAcceptNull => '{"wValue":null}',
    ValueAcceptString => '{"wValue":"hello"}',
    ValueAcceptList => '{"wValue":[0,"hello"]}',
    ValueAcceptObject => '{"wValue":{"value":1}}',
    RepeatedValue => '{"rwValue":[["a"],null,{}]}',
    RepeatedListValue => '{"rwList":[["a"],[]]}',
    Empty => '{"wEmpty":{}}',
    Any => '{"wAny":{"@type":"type.googleapis.com/test.kinds.Kinds",'
        . '"fInt32":12345}}',
    AnyEmpty => '{"wAny":{}}',
    AnyNested => '{"wAny":{"@type":"type.googleapis.com/google.protobuf.Any",'
        . '"value":{"@type":"type.googleapis.com/test.kinds.Kinds",'
        . '"fInt32":12345}}}',
    AnyWithInt32ValueWrapper => any('Int32Value', '12345'),
    AnyWithDuration => any('Duration', '"1.500s"'),
    AnyWithTimestamp => any('Timestamp', '"1970-01-01T00:00:00Z"'),
    AnyWithFieldMask => any('FieldMask', '"foo,barBaz"'),
    AnyWithStruct => any('Struct', '{"foo":1}'),
    AnyWithValueForJsonObject => any('Value', '{"foo":1}'),
    AnyWithValueForInteger => any('Value', '1'),
    Last => '{"last":"z"}',
);

my @other = (
    OriginalProtoFieldName => '{"fieldname1":1,"field_name2":2,'
        . '"_field_name3":3,"field__name4_":4,"field0name5":5,'
        . '"field_0_name6":6,"fieldName7":7,"FieldName8":8,"field_Name9":9,'
        . '"Field_Name10":10,"FIELD_NAME11":11}'
        => '{"fieldname1":1,"fieldName2":2,"FieldName3":3,"fieldName4":4,'
        . '"field0name5":5,"field0Name6":6,"fieldName7":7,"FieldName8":8,'
        . '"fieldName9":9,"FieldName10":10,"FIELDNAME11":11}',
    FieldNameEscaped => '{"fieldn\u0061me1":1}' => '{"fieldname1":1}',
    OneLineWithSpaces => '{ "fInt32" : 1 , "fInt64" : 2 }'
        => '{"fInt32":1,"fInt64":"2"}',
    MultilineNoSpaces => "{\n\"fInt32\"\n:\n1\n,\n\"fInt64\"\n:\n2\n}"
        => '{"fInt32":1,"fInt64":"2"}',
    MultilineWithSpaces => "{\n  \"fInt32\"  :  1\n  ,\n  \"fInt64\"  :  2\n}\n"
        => '{"fInt32":1,"fInt64":"2"}',
    Int64FieldMaxValueNotQuoted => '{"fInt64":9223372036854775807}'
        => '{"fInt64":"9223372036854775807"}',
    Int64FieldMinValueNotQuoted => '{"fInt64":-9223372036854775808}'
        => '{"fInt64":"-9223372036854775808"}',
    Uint64FieldMaxValueNotQuoted => '{"fUint64":18446744073709551615}'
        => '{"fUint64":"18446744073709551615"}',
    Int32FieldStringValue => '{"fInt32":"2147483647"}'
        => '{"fInt32":2147483647}',
    Int32FieldStringValueEscaped => '{"fInt32":"2\u003147483647"}'
        => '{"fInt32":2147483647}',
    Int32FieldFloatTrailingZero => '{"fInt32":100000.000}'
        => '{"fInt32":100000}',
    Int32FieldExponentialFormat => '{"fInt32":1e5}' => '{"fInt32":100000}',
    Int32FieldMaxFloatValue => '{"fInt32":2.147483647e9}'
        => '{"fInt32":2147483647}',
    Int32FieldMinFloatValue => '{"fInt32":-2.147483648e9}'
        => '{"fInt32":-2147483648}',
    Uint32FieldMaxFloatValue => '{"fUint32":4.294967295e9}'
        => '{"fUint32":4294967295}',
    Int64ExponentExact => '{"fInt64":9.223372036854775807e18}'
        => '{"fInt64":"9223372036854775807"}',
    BoolFieldFalse => '{"fBool":false}' => '{}',
    Zeros => '{"fInt32":0,"fString":"","fBytes":"","fColor":0,"fDouble":0.0}'
        => '{}',
    FloatFieldQuotedValue => '{"fFloat":"1"}' => '{"fFloat":1}',
    FloatFieldMinPositiveValue => '{"fFloat":1.175494e-38}'
        => '{"fFloat":1.175494e-38}',
    FloatRounds => '{"fFloat":0.1000000014901161}' => '{"fFloat":0.1}',
    DoubleFieldQuotedValue => '{"fDouble":"1"}' => '{"fDouble":1}',
    DoubleFieldMaxPositiveValue => '{"fDouble":1.79769e+308}'
        => '{"fDouble":1.79769e+308}',
    DoubleFieldMinPositiveValue => '{"fDouble":2.22507e-308}'
        => '{"fDouble":2.22507e-308}',
    DoubleLong => '{"fDouble":0.10000000000000000000000000000000000001}'
        => '{"fDouble":0.1}',
    EnumFieldWithAlias => '{"fAlias":"ALIAS_FIRST"}'
        => '{"fAlias":"ALIAS_FIRST"}',
    EnumFieldWithAliasUseAlias => '{"fAlias":"ALIAS_SECOND"}'
        => '{"fAlias":"ALIAS_FIRST"}',
    EnumFieldWithAliasLowerCase => '{"fAlias":"aliasLast"}'
        => '{"fAlias":"aliasLast"}',
    EnumFieldNumericValueZero => '{"fColor":0}' => '{}',
    EnumFieldNumericValueNonZero => '{"fColor":1}' => '{"fColor":"RED"}',
    StringFieldEscape => '{"fString":"\"\\\\\/\b\f\n\r\t"}'
        => '{"fString":"\"\\\\/\b\f\n\r\t"}',
    StringFieldUnicodeEscape => '{"fString":"\u8C37\u6B4C"}'
        => '{"fString":"谷歌"}',
    StringFieldUnicodeEscapeWithLowercaseHexLetters =>
        '{"fString":"\u8c37\u6b4c"}' => '{"fString":"谷歌"}',
    StringFieldSurrogatePair => '{"fString":"\uD83D\uDE01"}'
        => '{"fString":"😁"}',
    BytesFieldBase64Url => '{"fBytes":"-_"}' => '{"fBytes":"+w=="}',
    BytesFieldBase64NoPadding => '{"fBytes":"AQI"}' => '{"fBytes":"AQI="}',
    Int32MapEscapedKey => '{"mInt32":{"\u0031":2}}' => '{"mInt32":{"1":2}}',
    BoolMapEscapedKey => '{"mBool":{"tr\u0075e":1}}' => '{"mBool":{"true":1}}',
    AllFieldAcceptNull => '{"fInt32":null,"fString":null,"fInner":null,'
        . '"rInt32":null,"rInner":null,"mInt32":null,"mString":null,'
        . '"fColor":null,"cInt32":null,"cString":null,"rwValue":null}' => '{}',
    WrapperTypesWithNullValue => '{"wBool":null,"wInt64":null,"wString":null,'
        . '"rwInt64":null}' => '{}',
    OneofNullFirst => '{"cInt32":null,"cString":"a"}' => '{"cString":"a"}',
    OneofNullSecond => '{"cString":"a","cInt32":null}' => '{"cString":"a"}',
    TimestampNull => '{"wTimestamp":null,"wDuration":null}' => '{}',
    DurationHasZeroFractionalDigit => '{"wDuration":"1.000000000s"}'
        => '{"wDuration":"1s"}',
    DurationHas3FractionalDigits => '{"wDuration":"1.010000000s"}'
        => '{"wDuration":"1.010s"}',
    DurationHas6FractionalDigits => '{"wDuration":"1.000010000s"}'
        => '{"wDuration":"1.000010s"}',
    DurationHas9FractionalDigits => '{"wDuration":"1.000000010s"}'
        => '{"wDuration":"1.000000010s"}',
    DurationRepeatedValue => '{"rwDuration":["1.5s","-1.5s"]}'
        => '{"rwDuration":["1.500s","-1.500s"]}',
    TimestampWithPositiveOffset => '{"wTimestamp":"1970-01-01T08:00:01+08:00"}'
        => '{"wTimestamp":"1970-01-01T00:00:01Z"}',
    TimestampWithNegativeOffset => '{"wTimestamp":"1969-12-31T16:00:01-08:00"}'
        => '{"wTimestamp":"1970-01-01T00:00:01Z"}',
    TimestampLeap => '{"wTimestamp":"1993-02-10T00:00:00.000Z"}'
        => '{"wTimestamp":"1993-02-10T00:00:00Z"}',
    TimestampZeroNormalized => '{"wTimestamp":"1969-12-31T16:00:00-08:00"}'
        => '{"wTimestamp":"1970-01-01T00:00:00Z"}',
    TimestampHas3FractionalDigits =>
        '{"wTimestamp":"1970-01-01T00:00:00.010000000Z"}'
        => '{"wTimestamp":"1970-01-01T00:00:00.010Z"}',
    TimestampHas6FractionalDigits =>
        '{"wTimestamp":"1970-01-01T00:00:00.000010000Z"}'
        => '{"wTimestamp":"1970-01-01T00:00:00.000010Z"}',
    TimestampHas9FractionalDigits =>
        '{"wTimestamp":"1970-01-01T00:00:00.000000010Z"}'
        => '{"wTimestamp":"1970-01-01T00:00:00.000000010Z"}',
    AnyUnorderedTypeTag => '{"wAny":{"fInt32":12345,"@type":"a/test.kinds.'
        . 'Kinds"}}' => '{"wAny":{"@type":"a/test.kinds.Kinds",'
        . '"fInt32":12345}}',
    AnyUnorderedValue => '{"wAny":{"value":"1s","@type":"a/google.protobuf.'
        . 'Duration"}}' => '{"wAny":{"@type":"a/google.protobuf.Duration",'
        . '"value":"1s"}}',
    AnyWithEmptyValue => '{"wAny":{"@type":"a/google.protobuf.Empty",'
        . '"value":{}}}' => '{"wAny":{"@type":"a/google.protobuf.Empty"}}',
    NullValueByName => '{"cNull":"NULL_VALUE"}' => '{"cNull":null}',
    NullValueByNumber => '{"cNull":0}' => '{"cNull":null}',
);

my @ignored = (
    IgnoreUnknownJsonNumber => '{"unknown":1}' => '{}',
    IgnoreUnknownJsonString => '{"unknown":"a"}' => '{}',
    IgnoreUnknownJsonTrue => '{"unknown":true}' => '{}',
    IgnoreUnknownJsonFalse => '{"unknown":false}' => '{}',
    IgnoreUnknownJsonNull => '{"unknown":null}' => '{}',
    IgnoreUnknownJsonObject => '{"unknown":{"a":1}}' => '{}',
    IgnoreUnknownNested => '{"unknown":[[],[{"a":[{}]},1,"]"]],"fInt32":1}'
        => '{"fInt32":1}',
    IgnoreUnknownEnumStringValueInOptionalField => '{"fColor":"NOPE"}' => '{}',
    IgnoreUnknownEnumStringValueInRepeatedField => '{"rColor":["NOPE"]}'
        => '{}',
    IgnoreUnknownEnumStringValueInRepeatedPart =>
        '{"rColor":["RED","NOPE","GREEN"]}' => '{"rColor":["RED","GREEN"]}',
    IgnoreUnknownEnumStringValueInMapValue => '{"mFixed32":{"1":"NOPE"}}'
        => '{}',
    IgnoreUnknownEnumStringValueInMapPart =>
        '{"mFixed32":{"1":"NOPE","2":"RED"}}' => '{"mFixed32":{"2":"RED"}}',
);

my @refused = (
    RejectTopLevelNull => 'null',
    StringEndsWithEscapeChar => '{"fString":"abc\\',
    FieldNameNotQuoted => '{fieldname1:1}',
    TrailingCommaInAnObject => '{"fieldname1":1,}',
    TrailingCommaInAnObjectWithSpace => '{"fieldname1":1 ,}',
    TrailingCommaInAnObjectWithSpaceCommaSpace => '{"fieldname1":1 , }',
    TrailingCommaInAnObjectWithNewlines => "{\n  \"fieldname1\":1,\n}",
    JsonWithComments => "{\n // a comment\n \"fieldname1\":1\n}",
    MissingCommaOneLine => '{"fInt32":1 "fInt64":2}',
    MissingCommaMultiline => "{\n  \"fInt32\":1\n  \"fInt64\":2\n}",
    FieldNameDuplicate => '{"fInner":{"a":1},"fInner":{}}',
    FieldNameDuplicateDifferentCasing1 => '{"f_inner":{"a":1},"fInner":{}}',
    FieldNameDuplicateDifferentCasing2 => '{"fInner":{"a":1},"f_inner":{}}',
    FieldNameDuplicateNull => '{"fInner":null,"fInner":{}}',
    MapKeyDuplicate => '{"mString":{"a":{},"\u0061":{}}}',
    MapKeyDuplicateNumber => '{"mInt32":{"1":1,"1.0":2}}',
    StructKeyDuplicate => '{"wStruct":{"a":1,"a":2}}',
    UnknownField => '{"unknown":1}',
    UnknownFieldCase => '{"FInt32":1}',
    Int32FieldTooLarge => '{"fInt32":2147483648}',
    Int32FieldTooSmall => '{"fInt32":-2147483649}',
    Uint32FieldTooLarge => '{"fUint32":4294967296}',
    Uint32FieldNegative => '{"fUint32":-1}',
    Int64FieldTooLarge => '{"fInt64":"9223372036854775808"}',
    Int64FieldTooSmall => '{"fInt64":"-9223372036854775809"}',
    Uint64FieldTooLarge => '{"fUint64":"18446744073709551616"}',
    Int32FieldNotInteger => '{"fInt32":0.5}',
    Uint32FieldNotInteger => '{"fUint32":0.5}',
    Int64FieldNotInteger => '{"fInt64":"0.5"}',
    Uint64FieldNotInteger => '{"fUint64":"0.5"}',
    Int64FieldAlmostInteger => '{"fInt64":1.00000000000000000000000001}',
    Int32FieldNotNumber => '{"fInt32":"3x3"}',
    Uint32FieldNotNumber => '{"fUint32":"3x3"}',
    Int64FieldNotNumber => '{"fInt64":"3x3"}',
    Uint64FieldNotNumber => '{"fUint64":"3x3"}',
    Int32FieldPlusSign => '{"fInt32":+1}',
    Int32FieldLeadingZero => '{"fInt32":01}',
    Int32FieldNegativeWithLeadingZero => '{"fInt32":-01}',
    Int32FieldLeadingSpace => '{"fInt32":" 1"}',
    Int32FieldTrailingSpace => '{"fInt32":"1 "}',
    Int32FieldEmptyString => '{"fInt32":""}',
    Int32FieldObject => '{"fInt32":{}}',
    BoolFieldIntegerZero => '{"fBool":0}',
    BoolFieldIntegerOne => '{"fBool":1}',
    BoolFieldCamelCaseTrue => '{"fBool":True}',
    BoolFieldCamelCaseFalse => '{"fBool":False}',
    BoolFieldAllCapitalTrue => '{"fBool":TRUE}',
    BoolFieldAllCapitalFalse => '{"fBool":FALSE}',
    BoolFieldDoubleQuotedTrue => '{"fBool":"true"}',
    BoolFieldDoubleQuotedFalse => '{"fBool":"false"}',
    FloatFieldNanNotQuoted => '{"fFloat":NaN}',
    FloatFieldInfinityNotQuoted => '{"fFloat":Infinity}',
    FloatFieldNegativeInfinityNotQuoted => '{"fFloat":-Infinity}',
    FloatFieldTooSmall => '{"fFloat":-3.502823e+38}',
    FloatFieldTooLarge => '{"fFloat":3.502823e+38}',
    FloatFieldEmptyString => '{"fFloat":""}',
    DoubleFieldNanNotQuoted => '{"fDouble":NaN}',
    DoubleFieldInfinityNotQuoted => '{"fDouble":Infinity}',
    DoubleFieldNegativeInfinityNotQuoted => '{"fDouble":-Infinity}',
    DoubleFieldTooSmall => '{"fDouble":-1.89769e+308}',
    DoubleFieldTooLarge => '{"fDouble":1.89769e+308}',
    DoubleFieldPlus => '{"fDouble":+1.0}',
    DoubleFieldNoDigits => '{"fDouble":.5}',
    DoubleFieldPoint => '{"fDouble":5.}',
    EnumFieldNotQuoted => '{"fColor":RED}',
    EnumFieldUnknownName => '{"fColor":"NOPE"}',
    EnumFieldOtherCase => '{"fColor":"red"}',
    EnumFieldFraction => '{"fColor":1.5}',
    StringFieldUppercaseEscapeLetter => '{"fString":"\U8C37\U6b4C"}',
    StringFieldInvalidEscape => '{"fString":"\uXXXX\u6B4C"}',
    StringFieldUnterminatedEscape => '{"fString":"\u8C3"}',
    StringFieldUnpairedHighSurrogate => '{"fString":"\uD800"}',
    StringFieldUnpairedLowSurrogate => '{"fString":"\uDC00"}',
    StringFieldSurrogateInWrongOrder => '{"fString":"\uDE01\uD83D"}',
    StringFieldNotAString => '{"fString":12345}',
    StringFieldNewline => "{\"fString\":\"a\nb\"}",
    StringFieldSingleQuoteKey => "{'fString':\"Hello world!\"}",
    StringFieldSingleQuoteValue => "{\"fString\":'Hello world!'}",
    StringFieldSingleQuoteBoth => "{'fString':'Hello world!'}",
    BytesFieldInvalid => '{"fBytes":"A"}',
    BytesFieldSpace => '{"fBytes":"AQ I="}',
    OneofFieldDuplicate => '{"cInt32":1,"cString":"test"}',
    Int32MapFieldKeyNotQuoted => '{"mInt32":{1:2,3:4}}',
    BoolMapFieldKeyNotQuoted => '{"mBool":{true:1,false:0}}',
    BoolMapFieldKey => '{"mBool":{"1":1}}',
    Int32MapFieldKeyTooLarge => '{"mInt32":{"2147483648":1}}',
    RepeatedFieldWrongElementTypeExpectingIntegersGotBool =>
        '{"rInt32":[1,false,3,4]}',
    RepeatedFieldWrongElementTypeExpectingIntegersGotString =>
        '{"rInt32":[1,2,"name",4]}',
    RepeatedFieldWrongElementTypeExpectingIntegersGotMessage =>
        '{"rInt32":[1,2,3,{"a":4}]}',
    RepeatedFieldWrongElementTypeExpectingStringsGotInt =>
        '{"rString":["1",2,"3","4"]}',
    RepeatedFieldWrongElementTypeExpectingStringsGotBool =>
        '{"rString":["1","2",false,"4"]}',
    RepeatedFieldWrongElementTypeExpectingStringsGotMessage =>
        '{"rString":["1","2","3",{"a":4}]}',
    RepeatedFieldWrongElementTypeExpectingMessagesGotInt =>
        '{"rInner":[{"a":1},2]}',
    RepeatedFieldWrongElementTypeExpectingMessagesGotBool =>
        '{"rInner":[{"a":1},false]}',
    RepeatedFieldWrongElementTypeExpectingMessagesGotString =>
        '{"rInner":[{"a":1},"2"]}',
    RepeatedFieldTrailingComma => '{"rInt32":[1,2,3,4,]}',
    RepeatedFieldTrailingCommaWithSpace => '{"rInt32":[1,2,3,4 ,]}',
    RepeatedFieldTrailingCommaWithSpaceCommaSpace => '{"rInt32":[1,2,3,4 , ]}',
    RepeatedFieldTrailingCommaWithNewlines => "{\"rInt32\":[\n1,\n2,\n]}",
    RepeatedFieldNotList => '{"rInt32":1}',
    SingularFieldList => '{"fInt32":[1]}',
    RepeatedFieldPrimitiveElementIsNull => '{"rInt32":[1,null,2]}',
    RepeatedFieldMessageElementIsNull => '{"rInner":[{"a":1},null,{"a":2}]}',
    MapFieldKeyIsNull => '{"mInt32":{null:1}}',
    MapFieldValueIsNull => '{"mInt32":{"0":null}}',
    DurationMissingS => '{"wDuration":"1"}',
    DurationJsonInputTooSmall => '{"wDuration":"-315576000001.000000000s"}',
    DurationJsonInputTooLarge => '{"wDuration":"315576000001.000000000s"}',
    DurationTooManyDigits => '{"wDuration":"1.0000000001s"}',
    DurationNoDigits => '{"wDuration":".5s"}',
    TimestampJsonInputTooSmall => '{"wTimestamp":"0000-01-01T00:00:00Z"}',
    TimestampJsonInputTooLarge => '{"wTimestamp":"10000-01-01T00:00:00Z"}',
    TimestampOffsetTooSmall => '{"wTimestamp":"0001-01-01T00:00:00+01:00"}',
    TimestampJsonInputMissingZ => '{"wTimestamp":"0001-01-01T00:00:00"}',
    TimestampJsonInputMissingT => '{"wTimestamp":"0001-01-01 00:00:00Z"}',
    TimestampJsonInputLowercaseZ => '{"wTimestamp":"0001-01-01T00:00:00z"}',
    TimestampJsonInputLowercaseT => '{"wTimestamp":"0001-01-01t00:00:00Z"}',
    TimestampDay => '{"wTimestamp":"2023-02-29T00:00:00Z"}',
    TimestampHour => '{"wTimestamp":"2023-02-28T24:00:00Z"}',
    FieldMaskInvalidCharacter => '{"wMask":"foo,bar_bar"}',
    FieldMaskEmptyPath => '{"wMask":"foo,,bar"}',
    AnyWithoutType => '{"wAny":{"fInt32":1}}',
    AnyOfUnknownType => '{"wAny":{"@type":"a/b.C","value":"AQI="}}',
    AnyTypeTwice => '{"wAny":{"@type":"a/test.kinds.Kinds",'
        . '"@type":"a/test.kinds.Kinds"}}',
    AnyValueMissing => '{"wAny":{"@type":"a/google.protobuf.Duration"}}',
    TrailingText => '{"fInt32":1} {}',
    TrailingGarbage => '{}x',
    EndsEarly => '{"fInner":{"a":1}',
    TooDeep => '{"fKinds":' x 100 . '{}' . '}' x 100,
    TooDeepInIgnored => '{"wValue":' . '[' x 100 . ']' x 100 . '}',
);

while (my ($name, $text) = splice @same, 0, 2) {
    is(through($text, '-'), $text, $name);
}

while (my ($name, $text, $want) = splice @other, 0, 3) {
    is(through($text, '-'), $want, $name);
}

while (my ($name, $text, $want) = splice @ignored, 0, 3) {
    is(through($text, 'u'), $want, $name);
}

while (my ($name, $text) = splice @refused, 0, 2) {
    like(through($text, '-'), qr/^error 2 ./, $name);
}

open my $cases, '<:utf8', "$dir/data/grpc/conformance.txt"
    or die "conformance.txt: $!\n";

while (my $line = <$cases>) {
    next if $line =~ /^#/;

    chomp $line;
    my ($name, $text, $want) = split /\t/, $line;

    if ($want eq '-') {
        like(through($text, '-'), qr/^error 2 ./, $name);

    } else {
        is(through($text, '-'), $want, $name);
    }
}


# bytes that other implementations may write, and what they are

my @bytes = (
    ValidDataScalarLastWins => '08010802' => '{"fInt32":2}',
    Int32FromTenBytes => '08ffffffffffffffffff01' => '{"fInt32":-1}',
    Int32Cut => '088080808010' => '{}',
    Uint32Cut => '1881808080f0ffffffff01' => '{"fUint32":1}',
    BoolAny => '68ac02' => '{"fBool":true}',
    PackedAsUnpacked => 'f80101f80102' => '{"rInt32":[1,2]}',
    UnpackedAsPacked => '8a03020102' => '{"uInt32":[1,2]}',
    PackedInPieces => 'fa010101f80102fa01020304' => '{"rInt32":[1,2,3,4]}',
    PackedEmpty => 'fa0100' => '{}',
    Interleaved => 'f80101080af80102' => '{"fInt32":10,"rInt32":[1,2]}',
    OutOfOrderFields => '720161' . '0801' => '{"fInt32":1,"fString":"a"}',
    MergeOfMessage => '92010208059201031a0161'
        => '{"fInner":{"a":5,"name":"a"}}',
    MergeOfLists => '920104220208019201042202' . '0802'
        => '{"fInner":{"inners":[{"a":1},{"a":2}]}}',
    OneofLastWins => '880501' . '92050161' => '{"cString":"a"}',
    OneofBack => '880501' . '92050161' . '880502' => '{"cInt32":2}',
    OneofMessageMerges => '9a05020801' . '9a05031a0161'
        => '{"cInner":{"a":1,"name":"a"}}',
    OneofMessageCleared => '9a05020801' . '880501' . '9a05031a0161'
        => '{"cInner":{"name":"a"}}',
    MapWithoutKey => '9a03021005' => '{"mInt32":{"0":5}}',
    MapWithoutValue => '9a03020805' => '{"mInt32":{"5":0}}',
    MapEmptyEntry => '9a0300' => '{"mInt32":{"0":0}}',
    MapMessageWithoutValue => 'f203030a0161' => '{"mString":{"a":{}}}',
    MapDuplicateKey => '9a030408011001' . '9a030408011002'
        => '{"mInt32":{"1":2}}',
    MapDuplicateOtherBytes => '9a030408011001' . '9a03050881001002'
        => '{"mInt32":{"1":2}}',
    UnknownFields => 'c03e01' . '0801' . 'ca3e0161' => '{"fInt32":1}',
    UnknownGroup => 'c33e0801c43e' . '0801' => '{"fInt32":1}',
    WrongWireType => '0a0161' . '1001' => '{"fInt64":"1"}',
    NanNormalized => '5d4523a17f' => '{"fFloat":"NaN"}',
    WrapperEmpty => '8a0700' => '{"wInt64":"0"}',
    ValueEmpty => 'd20600' => '{"wValue":null}',
    AnyUnknown => 'aa060a0a05612f622e43' . '120101'
        => '{"wAny":{"@type":"a/b.C","value":"AQ=="}}',
    DurationProtoInputTooSmall => hex_message(103, '08'
        . varint(-315576000001)) => undef,
    DurationProtoInputTooLarge => hex_message(103, '08'
        . varint(315576000001)) => undef,
    DurationProtoNanosTooSmall => hex_message(103, '10'
        . varint(-1000000000)) => undef,
    DurationProtoNanosWrongSign => hex_message(103, '0801' . '10'
        . varint(-1)) => undef,
    TimestampProtoInputTooSmall => hex_message(102, '08'
        . varint(-62135596801)) => undef,
    TimestampProtoInputTooLarge => hex_message(102, '08'
        . varint(253402300800)) => undef,
    TimestampProtoNegativeNanos => hex_message(102, '10' . varint(-1))
        => undef,
    FieldMaskPathsDontRoundTrip => mask('fooBar') => undef,
    FieldMaskNumbersDontRoundTrip => mask('foo_3_bar') => undef,
    FieldMaskTooManyUnderscore => mask('foo__bar') => undef,
    ValueRejectNanNumberValue => hex_message(106, '11000000000000f87f')
        => undef,
    ValueRejectInfNumberValue => hex_message(106, '11000000000000f07f')
        => undef,
    BadUtf8InStringField => '7201ff' => undef,
    BadUtf8InMapKey => hex_message(62, '0a01ff') => undef,
    BadUtf8InRepeated => 'e20201ff' => undef,
    PrematureEofInVarint => '0880' => undef,
    PrematureEofInTag => '80' => undef,
    PrematureEofInLength => '720561' => undef,
    PrematureEofInFixed => '5d0000' => undef,
    PrematureEofInPacked => 'fa0102ff80' => undef,
    PrematureEofInMessage => '920103080161' => undef,
    IllegalZeroFieldNum => '0001' => undef,
    IllegalWireType => '0e' => undef,
    UnmatchedEndGroup => '0c' => undef,
    UnmatchedStartGroup => 'c33e' => undef,
    WrongEndGroup => 'c33ecc3e' => undef,
    VarintTooLong => '08ffffffffffffffffffff01' => undef,
    DepthOfMessages => nested(99) => $json->encode('deep'),
    DepthTooMuch => nested(100) => undef,
);

while (my ($name, $hex, $want) = splice @bytes, 0, 3) {
    my $got = ask('to test.kinds.Kinds -', pack 'H*', $hex);

    if (!defined $want) {
        like($got, qr/^error 2 ./, $name);
        next;
    }

    if ($want eq '"deep"') {
        like($got, qr/^ok \{"fKinds":/, $name);
        next;
    }

    is($got, "ok $want", $name);
}


# proto2: presence, groups, closed enums, extensions

my @old = (
    Presence => '{"number":0,"text":"","raw":""}',
    Group => '{"data":{"groupInt32":1,"back":{"number":2}}}',
    Groups => '{"many":[{},{"a":1,"deeper":{"b":["x","y"]}}]}',
    GroupOfOneof => '{"cGroup":{"b":true}}',
    Extensions => '{"[test.old.extra]":0,"[test.old.extra_closed]":["TWO"],'
        . '"[test.old.Old.nested]":"n"}',
    Packed => '{"plain":[1,2],"packed":[3,4]}',
);

while (my ($name, $text) = splice @old, 0, 2) {
    is(through($text, '-', 'test.old.Old'), $text, "proto2: $name");
}

is(ask('to test.old.Old -', pack 'H*', '2007' . '28012807' . '2802'),
   'ok {"closeds":["ONE","TWO"]}', 'proto2: unknown values are unknown fields');
is(ask('to test.old.Old -', pack 'H*', '20012007'), 'ok {"closed":"ONE"}',
   'proto2: and do not clear known ones');
is(ask('to test.old.Old -', pack 'H*', '2807'), 'ok {}',
   'proto2: nor make a list');
is(ask('to test.old.Old -', pack 'H*', '1201ff'), "ok {\"text\":\"\x{fffd}\"}",
   'proto2: strings are any bytes');
is(ask('from test.old.Needs -', '{}'), 'ok ',
   'proto2: what is required may come from elsewhere');


# print options

my $colors = pack 'H*', '800101' . 'f2020102';

like(ask('to test.kinds.Kinds p', $colors),
     qr/^ok \{"f_color":"RED","r_color":\["GREEN"\]\}$/, 'proto names');
like(ask('to test.kinds.Kinds e', $colors),
     qr/^ok \{"fColor":1,"rColor":\[2\]\}$/, 'enums as integers');

my $always = $json->decode(substr ask('to test.kinds.Kinds a', ''), 3);

is($always->{fString}, '', 'always printed: a string');
is($always->{fInt64}, '0', 'always printed: an int64');
is($always->{fColor}, 'COLOR_NONE', 'always printed: an enum');
is_deeply([ @$always{qw(rInner mString)} ], [ [], {} ],
          'always printed: a list and a map');
ok(!grep({ exists $always->{$_} } qw(oInt32 cInt32 fInner wInt64)),
   'but not what has presence');


# one field as the whole body

is(ask('field test.kinds.Kinds rInner', '[{"a":1},{}]'),
   'ok 820302080182' . '0300', 'a list is the body');
is(ask('field test.kinds.Kinds fString', '"a"'), 'ok 720161',
   'a string is the body');
is(ask('field test.kinds.Kinds rInner', '[{"a":"x"}]'),
   'error 2 rInner[0].a: not an int32', 'its errors have its name');
is(ask('answer test.kinds.Kinds rInt32', pack 'H*', 'fa0102010' . '2'),
   'ok [1,2]', 'a list is the answer');
is(ask('answer test.kinds.Kinds fInner', pack 'H*', '920102080a'),
   'ok {"a":10}', 'a message is the answer');
is(ask('answer test.kinds.Kinds fInner', ''), 'ok null', 'none is');
is(ask('answer test.kinds.Kinds mInt32', ''), 'ok {}', 'an empty map is');
is(ask('answer test.kinds.Kinds fInt64', ''), 'ok "0"', 'a default is');


# where an error is

my @errors = (
    '{"fInner":{"inners":[{},{"a":1.5}]}}'
        => 'fInner.inners[1].a: not an int32',
    '{"mString":{"k":{"back":{"rString":["",1]}}}}'
        => 'mString["k"].back.rString[1]: not a string',
    '{"wAny":{"@type":"a/test.kinds.Kinds","fBool":1}}'
        => 'wAny.fBool: not a bool',
    '{"wStruct":{"a":[1,nul]}}' => undef,
    '{"fInner":{"nope":1}}' => 'fInner: no field "nope"',
    '{"fColor":"PINK"}'
        => 'fColor: not a value of the enum "test.kinds.Color"',
    '{"cInt32":1,"cBool":true}'
        => 'cBool: a second member of the oneof "choice"',
    '{"fInt32":1,"fInt32":1}' => 'fInt32: named twice',
    '{"fInt32":1' => 'the JSON ends early',
    '{"fInt32":1]' => 'invalid JSON at byte 11',
);

while (my ($text, $want) = splice @errors, 0, 2) {
    my $got = ask('from test.kinds.Kinds -', $text);

    defined $want ? is($got, "error 2 $want", "error: $want")
                  : like($got, qr/^error 2 wStruct/, 'error in a Struct');
}


# paths and queries

my @bound = (
    '-', "path f_inner.a 5\nquery fInner.name x\nquery r_int32 1\n"
        . "query rInt32 2\nquery w_timestamp 2024-01-01T00:00:00Z\n"
        . "query fColor 2\nquery wInt64 7\nquery fBytes AQI\n"
        . "query wMask aB,c\nquery rwString a\nquery rwString b"
        => { fInner => { a => 5, name => 'x' }, rInt32 => [ 1, 2 ],
             wTimestamp => '2024-01-01T00:00:00Z', fColor => 'GREEN',
             wInt64 => '7', fBytes => 'AQI=', wMask => 'aB,c',
             rwString => [ 'a', 'b' ] },
    '-', 'query rColor RED' => { rColor => [ 'RED' ] },
    '-', 'query fInner.back.fInner.a 1'
        => { fInner => { back => { fInner => { a => 1 } } } },
    '-', "query cInner.a 1\nquery cInner.name x"
        => { cInner => { a => 1, name => 'x' } },
    '-', "query fInt32 1\nquery f_int32 2" => 'f_int32: given twice',
    '-', "query cInt32 1\nquery cString 2"
        => 'cString: a second member of the oneof "choice"',
    '-', "query cInner.a 1\nquery cInt32 2"
        => 'cInt32: a second member of the oneof "choice"',
    '*', 'query fInt32 1' => 'fInt32: the body has all fields',
    '*', 'query nope 1' => 'no field "nope" in test.kinds.Kinds',
    'fInner', 'query fInner.a 1' => 'fInner.a: is the body',
    'cString', 'query cInt32 1'
        => 'cInt32: a second member of the oneof "choice"',
    '-', "path f_inner.a 5\nquery fInner.a 6" => 'fInner.a: is in the path',
    '-', 'path r_int32 5' => '"r_int32" is a repeated field',
    '-', 'path m_int32 5' => '"m_int32" is a map field',
    '-', 'path f_inner 5' => '"f_inner" is a message field',
    '-', 'path nope 5' => 'no field "nope" in test.kinds.Kinds',
    '-', 'query fInner x' => '"fInner" is a message field',
    '-', 'query rInner x' => '"rInner" is a message field',
    '-', 'query mInt32 x' => '"mInt32" is a map field',
    '-', 'query wAny x' => '"wAny" is a message field',
    '-', 'query wTimestamp.seconds 1'
        => '"wTimestamp" is not a message with fields',
    '-', 'query rInner.a 1' => '"rInner" is not a message with fields',
    '-', 'query fInt32 x' => 'fInt32: not an int32',
    '-', 'query fInt32 ' => 'fInt32: not an int32',
    '-', 'query fBool yes' => 'fBool: not a bool',
    '-', 'query fColor PINK' => 'fColor: not an enum',
    '-', 'query wDuration 1' => 'wDuration: not a duration',
    '-', 'query fInt64 9223372036854775808' => 'fInt64: not an int64',
    '-', 'path f_int32 1.5' => 'fInt32: not an int32',
);

while (my ($body, $lines, $want) = splice @bound, 0, 3) {
    my $got = ask("bind test.kinds.Kinds $body", $lines);

    if (!ref $want) {
        like($got, qr/^error \d \Q$want\E$/, "bound: $want");
        next;
    }

    $got =~ s/^ok // or diag($got);
    $got = ask('to test.kinds.Kinds -', pack 'H*', $got);
    is_deeply($json->decode(substr $got, 3), $want, 'bound: ' . ($lines
        =~ tr/\n/ /r));
}


# google.rpc.Status

my $retry = detail('RetryInfo', '0a04' . '0801' . '1001');
my $bad = detail('BadRequest', '0a05' . '0a03' . '6e616d');
my $debug = detail('DebugInfo', '0a01' . '61');
my $foreign = any_bytes('a/b.C', '0102');
my $broken = detail('BadRequest', '0a05');

is(details($retry, $bad), 'ok 0 2 2 [{"@type":"type.googleapis.com/google.rpc.'
   . 'RetryInfo","retryDelay":"1.000000001s"},{"@type":"type.googleapis.com/'
   . 'google.rpc.BadRequest","fieldViolations":[{"field":"nam"}]}]',
   'details of types that are built in, and a delay that is rounded up');
is(details($debug, $foreign), 'ok 0 1 -1 [{"@type":"a/b.C","value":"AQI="}]',
   'DebugInfo is left out, an unknown type is its bytes');
my $within = any_bytes('type.googleapis.com/google.protobuf.Any',
                       unpack 'H*', unnamed($debug));
is(details($within), 'ok 0 1 -1 [{"@type":"type.googleapis.com/'
   . 'google.protobuf.Any","value":{}}]', 'nor is one within another');
$within = any_bytes('type.googleapis.com/google.protobuf.Any',
                    unpack 'H*', unnamed(any_bytes('google.rpc.DebugInfo',
                                                   '0a0161')));
unlike(details($within), qr/0a0161|CgFh|"a"/, 'nor one without a "/"');
is(details($broken), 'ok 0 1 -1 [{"@type":"type.googleapis.com/google.rpc.'
   . 'BadRequest","value":"CgU="}]', 'and so is what is not of its type');
is(ask('details', 'no base64!'), 'ok 0 0 -1 []', 'no base64');
is(ask('details', encode_base64(pack('H*', '1a05'), '')), 'ok 0 0 -1 []',
   'no status');
is(ask('details', ''), 'ok 0 0 -1 []', 'nothing');
(my $url = encode_base64($retry, '')) =~ tr{+/=}{-_}d;
like(ask('details', $url), qr/^ok 0 1 2 /, 'base64url without padding');

close $in;
waitpid $pid, 0;
is($?, 0, 'the tool ended well');

done_testing();


sub send_line {
    my ($line, $bytes) = @_;

    utf8::encode($bytes) if utf8::is_utf8($bytes);
    print $in "$line ", length $bytes, "\n", $bytes, "\n";
    $in->flush();
}


sub ask {
    my ($line, $bytes) = @_;

    send_line($line, $bytes);
    my $answer = <$out>;
    chomp $answer;
    utf8::decode($answer);
    return $answer;
}


sub through {
    my ($text, $flags, $type) = @_;

    $type ||= 'test.kinds.Kinds';
    my $wire = ask("from $type $flags", $text);
    return $wire if $wire !~ s/^ok //;

    my $back = ask("to $type -", pack 'H*', $wire);
    return $back =~ s/^ok //r;
}


sub any {
    my ($type, $value) = @_;

    return '{"wAny":{"@type":"type.googleapis.com/google.protobuf.' . $type
        . '","value":' . $value . '}}';
}


sub varint {
    my ($n) = @_;

    $n = unpack 'Q', pack 'q', $n;
    my $hex = '';

    while ($n > 0x7f) {
        $hex .= sprintf '%02x', $n & 0x7f | 0x80;
        $n >>= 7;
    }

    return $hex . sprintf '%02x', $n;
}


sub hex_message {
    my ($number, $hex) = @_;

    return varint($number << 3 | 2) . varint(length($hex) / 2) . $hex;
}


sub mask {
    my ($path) = @_;

    return hex_message(104, hex_message(1, unpack 'H*', $path));
}


sub nested {
    my ($levels) = @_;

    my $hex = '0801';
    $hex = hex_message(19, $hex) for 1 .. $levels;
    return $hex;
}


sub any_bytes {
    my ($type, $hex) = @_;

    return pack 'H*', hex_message(3, hex_message(1, unpack 'H*', $type)
                                  . hex_message(2, $hex));
}


sub detail {
    my ($type, $hex) = @_;

    return any_bytes("type.googleapis.com/google.rpc.$type", $hex);
}


# an Any without its tag and length, which are a byte each
sub unnamed { return substr $_[0], 2 }


sub details {
    return ask('details', encode_base64(join('', @_), ''));
}
